// SPDX-License-Identifier: MIT
// ECP5's multiplier as yosys uses it, without registers and cascades; yosys has no model of it.
// Ref: Lattice FPGA-TN-02205 (sysDSP usage guide); yosys, techlibs/ecp5/dsp_map.v.

module MULT18X18D #(
  parameter REG_INPUTA_CLK = "NONE", REG_INPUTB_CLK = "NONE", REG_INPUTC_CLK = "NONE", REG_PIPELINE_CLK = "NONE",
  parameter REG_OUTPUT_CLK = "NONE", MULT_BYPASS = "DISABLED"
) (
  input A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
  input B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
  input C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
  input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
  output P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17, P16, P15, P14,
  P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);
  if (REG_INPUTA_CLK != "NONE" || REG_INPUTB_CLK != "NONE" || REG_INPUTC_CLK != "NONE" || REG_PIPELINE_CLK != "NONE" ||
      REG_OUTPUT_CLK != "NONE" || MULT_BYPASS != "DISABLED")
    MULT18X18D_without_registers_or_bypass missing();  // ends the build, which an $error does not

  wire [17:0] a = {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
  wire [17:0] b = {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};
  // A factor is signed by a pin of its own, and the product is if one of both is.
  wire signed [35:0] wide_a = $signed({{18{SIGNEDA & a[17]}}, a}), wide_b = $signed({{18{SIGNEDB & b[17]}}, b});
  assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17, P16, P15,
    P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} = wide_a * wide_b;
endmodule
