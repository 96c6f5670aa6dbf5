// SPDX-License-Identifier: MIT
// Cells of ECP5 that LiteDRAM's controller has at its pins and on its reset, and those of a board's top beside it.
// Ref: Lattice FPGA-TN-02032 (I/O), FPGA-TN-02200 (PLL), "FPGA Libraries Reference Guide": OFS1P3BX, IFS1P3BX, FD1S3BX, …

module OFS1P3BX(input D, PD, SCLK, SP, output reg Q);
  initial Q = 1;
  always @(posedge SCLK or posedge PD) if (PD) Q <= 1; else if (SP) Q <= D;
endmodule

module IFS1P3BX(input D, PD, SCLK, SP, output reg Q);
  initial Q = 1;
  always @(posedge SCLK or posedge PD) if (PD) Q <= 1; else if (SP) Q <= D;
endmodule

module FD1S3BX(input CK, D, PD, output reg Q);
  initial Q = 1;
  always @(posedge CK or posedge PD) if (PD) Q <= 1; else Q <= D;
endmodule

module TRELLIS_IO #(parameter DIR = "BIDIR") (inout B, input I, T, output O);
  assign B = T ? 1'bz : I;
  assign O = B;
endmodule

module IB(input I, output O);
  assign O = I;
endmodule

module OBZ(input I, T, output O);
  assign O = T ? 1'bz : I;
endmodule

module FD1S3AX(input CK, D, output reg Q);
  initial Q = 0;
  always @(posedge CK) Q <= D;
endmodule

module OFS1P3DX(input D, CD, SCLK, SP, output reg Q);
  initial Q = 0;
  always @(posedge SCLK or posedge CD) if (CD) Q <= 0; else if (SP) Q <= D;
endmodule

// Of what is constant; other inputs would come some cycles later.
module ODDRX1F(input SCLK, RST, D0, D1, output Q);
  assign Q = SCLK ? D0 : D1;
endmodule

// Locked at once, with an output as fast as the input: the bench's clock is that behind the PLL.
module EHXPLLL #(
  parameter PLLRST_ENA = "", INTFB_WAKE = "", STDBY_ENABLE = "", DPHASE_SOURCE = "", OUTDIVIDER_MUXA = "",
  parameter OUTDIVIDER_MUXB = "", OUTDIVIDER_MUXC = "", OUTDIVIDER_MUXD = "", CLKOP_ENABLE = "", CLKOS_ENABLE = "",
  parameter FEEDBK_PATH = "", CLKI_DIV = 1, CLKFB_DIV = 1, CLKOP_DIV = 1, CLKOP_CPHASE = 0, CLKOP_FPHASE = 0,
  parameter CLKOS_DIV = 1, CLKOS_CPHASE = 0, CLKOS_FPHASE = 0
) (
  input CLKI, CLKFB, RST, STDBY, PHASESEL0, PHASESEL1, PHASEDIR, PHASESTEP, PHASELOADREG, PLLWAKESYNC, ENCLKOP,
  output CLKOP, CLKOS, LOCK
);
  assign CLKOP = CLKI, CLKOS = CLKI, LOCK = 1;
endmodule
