// SPDX-License-Identifier: MIT
// Block RAMs of the 7 series, of which yosys has no model.
// Ref: AMD UG473 (memory resources), UG953 (libraries guide); yosys, techlibs/xilinx/brams_xc6v_map.v.

module RAMB18E1 #(
  parameter RAM_MODE = "TDP", DOA_REG = 0, DOB_REG = 0, READ_WIDTH_A = 0, READ_WIDTH_B = 0, WRITE_WIDTH_A = 0,
  parameter WRITE_WIDTH_B = 0, WRITE_MODE_A = "WRITE_FIRST", WRITE_MODE_B = "WRITE_FIRST",
  parameter [17:0] SRVAL_A = 0, SRVAL_B = 0,
  // Not looked at: outputs start at 0, and nothing is inverted or collides without our model of it.
  parameter [17:0] INIT_A = 0, INIT_B = 0,
  parameter INIT_FILE = "NONE", RDADDR_COLLISION_HWCONFIG = "PERFORMANCE", SIM_COLLISION_CHECK = "ALL",
  parameter SIM_DEVICE = "7SERIES", IS_CLKARDCLK_INVERTED = 0, IS_CLKBWRCLK_INVERTED = 0, IS_ENARDEN_INVERTED = 0,
  parameter IS_ENBWREN_INVERTED = 0, IS_RSTRAMARSTRAM_INVERTED = 0, IS_RSTRAMB_INVERTED = 0,
  parameter IS_RSTREGARSTREG_INVERTED = 0, IS_RSTREGB_INVERTED = 0,
  parameter [255:0]
    INIT_00 = 0, INIT_01 = 0, INIT_02 = 0, INIT_03 = 0, INIT_04 = 0, INIT_05 = 0, INIT_06 = 0, INIT_07 = 0,
    INIT_08 = 0, INIT_09 = 0, INIT_0A = 0, INIT_0B = 0, INIT_0C = 0, INIT_0D = 0, INIT_0E = 0, INIT_0F = 0,
    INIT_10 = 0, INIT_11 = 0, INIT_12 = 0, INIT_13 = 0, INIT_14 = 0, INIT_15 = 0, INIT_16 = 0, INIT_17 = 0,
    INIT_18 = 0, INIT_19 = 0, INIT_1A = 0, INIT_1B = 0, INIT_1C = 0, INIT_1D = 0, INIT_1E = 0, INIT_1F = 0,
    INIT_20 = 0, INIT_21 = 0, INIT_22 = 0, INIT_23 = 0, INIT_24 = 0, INIT_25 = 0, INIT_26 = 0, INIT_27 = 0,
    INIT_28 = 0, INIT_29 = 0, INIT_2A = 0, INIT_2B = 0, INIT_2C = 0, INIT_2D = 0, INIT_2E = 0, INIT_2F = 0,
    INIT_30 = 0, INIT_31 = 0, INIT_32 = 0, INIT_33 = 0, INIT_34 = 0, INIT_35 = 0, INIT_36 = 0, INIT_37 = 0,
    INIT_38 = 0, INIT_39 = 0, INIT_3A = 0, INIT_3B = 0, INIT_3C = 0, INIT_3D = 0, INIT_3E = 0, INIT_3F = 0,
    INITP_00 = 0, INITP_01 = 0, INITP_02 = 0, INITP_03 = 0, INITP_04 = 0, INITP_05 = 0, INITP_06 = 0, INITP_07 = 0
) (
  input CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB, RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
  input [13:0] ADDRARDADDR, ADDRBWRADDR, input [15:0] DIADI, DIBDI, input [1:0] DIPADIP, DIPBDIP,
  input [1:0] WEA, input [3:0] WEBWE,
  output [15:0] DOADO, DOBDO, output [1:0] DOPADOP, DOPBDOP
);
  localparam [255:0] DATA [0:63] = '{
    INIT_00, INIT_01, INIT_02, INIT_03, INIT_04, INIT_05, INIT_06, INIT_07,
    INIT_08, INIT_09, INIT_0A, INIT_0B, INIT_0C, INIT_0D, INIT_0E, INIT_0F,
    INIT_10, INIT_11, INIT_12, INIT_13, INIT_14, INIT_15, INIT_16, INIT_17,
    INIT_18, INIT_19, INIT_1A, INIT_1B, INIT_1C, INIT_1D, INIT_1E, INIT_1F,
    INIT_20, INIT_21, INIT_22, INIT_23, INIT_24, INIT_25, INIT_26, INIT_27,
    INIT_28, INIT_29, INIT_2A, INIT_2B, INIT_2C, INIT_2D, INIT_2E, INIT_2F,
    INIT_30, INIT_31, INIT_32, INIT_33, INIT_34, INIT_35, INIT_36, INIT_37,
    INIT_38, INIT_39, INIT_3A, INIT_3B, INIT_3C, INIT_3D, INIT_3E, INIT_3F
  };
  localparam [255:0] PARITY [0:7] = '{
    INITP_00, INITP_01, INITP_02, INITP_03, INITP_04, INITP_05, INITP_06, INITP_07
  };
  integer i, j;
  initial for (i = 0; i < 64; i = i + 1) for (j = 0; j < 32; j = j + 1)
    ram.memory[32 * i + j] = {PARITY[i / 8][32 * (i % 8) + j], DATA[i][8 * j +: 8]};

  // Simple dual port: port A reads and port B writes, words of up to twice the width on the pins of both.
  localparam SIMPLE = RAM_MODE == "SDP", READS_WIDE = SIMPLE && READ_WIDTH_A == 36;
  localparam WRITES_WIDE = SIMPLE && WRITE_WIDTH_B == 36;
  function automatic [17:0] bytes(input [15:0] data, input [1:0] parity);
    for (int i = 0; i < 2; i++) bytes[9 * i +: 9] = {parity[i], data[8 * i +: 8]};
  endfunction
  wire [17:0] given_a = bytes(DIADI, DIPADIP), given_b = bytes(DIBDI, DIPBDIP);
  wire [71:0] word_a, word_b;
  wire [17:0] second = READS_WIDE ? word_a[18 +: 18] : word_b[17:0];

  firstspike_block_ram #(
    .PLACE(11), .READ_A(READ_WIDTH_A), .WRITE_A(WRITE_WIDTH_A), .READ_B(READ_WIDTH_B),
    .WRITE_B(WRITE_WIDTH_B), .MODE_A(WRITE_MODE_A), .MODE_B(WRITE_MODE_B), .OLD_A(WRITE_MODE_B == "READ_FIRST"),
    .OLD_B(WRITE_MODE_A == "READ_FIRST"), .REGISTER_A(DOA_REG), .REGISTER_B(DOB_REG),
    .RESET_A(72'({bytes(SRVAL_B[15:0], SRVAL_B[17:16]), bytes(SRVAL_A[15:0], SRVAL_A[17:16])})),
    .RESET_B(72'(bytes(SRVAL_B[15:0], SRVAL_B[17:16])))
  ) ram (
    .clk_a(CLKARDCLK), .clk_b(CLKBWRCLK), .enable_a(ENARDEN), .enable_b(ENBWREN), .output_a(REGCEAREGCE),
    .output_b(REGCEB), .reset_a(RSTRAMARSTRAM), .reset_b(RSTRAMB), .write_a(8'(WEA)), .write_b(8'(WEBWE)),
    .address_a(ADDRARDADDR[13:0]), .address_b(ADDRBWRADDR[13:0]), .given_a(72'(given_a)),
    .given_b(WRITES_WIDE ? 72'({given_b, given_a}) : 72'(given_b)), .word_a(word_a), .word_b(word_b));

  for (genvar i = 0; i < 2; i++) begin : outputs
    assign {DOPADOP[i], DOADO[8 * i +: 8]} = word_a[9 * i +: 9];
    assign {DOPBDOP[i], DOBDO[8 * i +: 8]} = second[9 * i +: 9];
  end
endmodule

module RAMB36E1 #(
  parameter RAM_MODE = "TDP", DOA_REG = 0, DOB_REG = 0, READ_WIDTH_A = 0, READ_WIDTH_B = 0, WRITE_WIDTH_A = 0,
  parameter WRITE_WIDTH_B = 0, WRITE_MODE_A = "WRITE_FIRST", WRITE_MODE_B = "WRITE_FIRST",
  parameter RAM_EXTENSION_A = "NONE", RAM_EXTENSION_B = "NONE", EN_ECC_READ = "FALSE", EN_ECC_WRITE = "FALSE",
  parameter [35:0] SRVAL_A = 0, SRVAL_B = 0,
  // Not looked at: outputs start at 0, and nothing is inverted or collides without our model of it.
  parameter [35:0] INIT_A = 0, INIT_B = 0,
  parameter INIT_FILE = "NONE", RDADDR_COLLISION_HWCONFIG = "PERFORMANCE", SIM_COLLISION_CHECK = "ALL",
  parameter SIM_DEVICE = "7SERIES", IS_CLKARDCLK_INVERTED = 0, IS_CLKBWRCLK_INVERTED = 0, IS_ENARDEN_INVERTED = 0,
  parameter IS_ENBWREN_INVERTED = 0, IS_RSTRAMARSTRAM_INVERTED = 0, IS_RSTRAMB_INVERTED = 0,
  parameter IS_RSTREGARSTREG_INVERTED = 0, IS_RSTREGB_INVERTED = 0,
  parameter [255:0]
    INIT_00 = 0, INIT_01 = 0, INIT_02 = 0, INIT_03 = 0, INIT_04 = 0, INIT_05 = 0, INIT_06 = 0, INIT_07 = 0,
    INIT_08 = 0, INIT_09 = 0, INIT_0A = 0, INIT_0B = 0, INIT_0C = 0, INIT_0D = 0, INIT_0E = 0, INIT_0F = 0,
    INIT_10 = 0, INIT_11 = 0, INIT_12 = 0, INIT_13 = 0, INIT_14 = 0, INIT_15 = 0, INIT_16 = 0, INIT_17 = 0,
    INIT_18 = 0, INIT_19 = 0, INIT_1A = 0, INIT_1B = 0, INIT_1C = 0, INIT_1D = 0, INIT_1E = 0, INIT_1F = 0,
    INIT_20 = 0, INIT_21 = 0, INIT_22 = 0, INIT_23 = 0, INIT_24 = 0, INIT_25 = 0, INIT_26 = 0, INIT_27 = 0,
    INIT_28 = 0, INIT_29 = 0, INIT_2A = 0, INIT_2B = 0, INIT_2C = 0, INIT_2D = 0, INIT_2E = 0, INIT_2F = 0,
    INIT_30 = 0, INIT_31 = 0, INIT_32 = 0, INIT_33 = 0, INIT_34 = 0, INIT_35 = 0, INIT_36 = 0, INIT_37 = 0,
    INIT_38 = 0, INIT_39 = 0, INIT_3A = 0, INIT_3B = 0, INIT_3C = 0, INIT_3D = 0, INIT_3E = 0, INIT_3F = 0,
    INIT_40 = 0, INIT_41 = 0, INIT_42 = 0, INIT_43 = 0, INIT_44 = 0, INIT_45 = 0, INIT_46 = 0, INIT_47 = 0,
    INIT_48 = 0, INIT_49 = 0, INIT_4A = 0, INIT_4B = 0, INIT_4C = 0, INIT_4D = 0, INIT_4E = 0, INIT_4F = 0,
    INIT_50 = 0, INIT_51 = 0, INIT_52 = 0, INIT_53 = 0, INIT_54 = 0, INIT_55 = 0, INIT_56 = 0, INIT_57 = 0,
    INIT_58 = 0, INIT_59 = 0, INIT_5A = 0, INIT_5B = 0, INIT_5C = 0, INIT_5D = 0, INIT_5E = 0, INIT_5F = 0,
    INIT_60 = 0, INIT_61 = 0, INIT_62 = 0, INIT_63 = 0, INIT_64 = 0, INIT_65 = 0, INIT_66 = 0, INIT_67 = 0,
    INIT_68 = 0, INIT_69 = 0, INIT_6A = 0, INIT_6B = 0, INIT_6C = 0, INIT_6D = 0, INIT_6E = 0, INIT_6F = 0,
    INIT_70 = 0, INIT_71 = 0, INIT_72 = 0, INIT_73 = 0, INIT_74 = 0, INIT_75 = 0, INIT_76 = 0, INIT_77 = 0,
    INIT_78 = 0, INIT_79 = 0, INIT_7A = 0, INIT_7B = 0, INIT_7C = 0, INIT_7D = 0, INIT_7E = 0, INIT_7F = 0,
    INITP_00 = 0, INITP_01 = 0, INITP_02 = 0, INITP_03 = 0, INITP_04 = 0, INITP_05 = 0, INITP_06 = 0, INITP_07 =
      0,
    INITP_08 = 0, INITP_09 = 0, INITP_0A = 0, INITP_0B = 0, INITP_0C = 0, INITP_0D = 0, INITP_0E = 0, INITP_0F = 0
) (
  input CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB, RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
  input CASCADEINA, CASCADEINB, INJECTDBITERR, INJECTSBITERR,
  output CASCADEOUTA, CASCADEOUTB, SBITERR, DBITERR, output [7:0] ECCPARITY, output [8:0] RDADDRECC,
  input [15:0] ADDRARDADDR, ADDRBWRADDR, input [31:0] DIADI, DIBDI, input [3:0] DIPADIP, DIPBDIP,
  input [3:0] WEA, input [7:0] WEBWE,
  output [31:0] DOADO, DOBDO, output [3:0] DOPADOP, DOPBDOP
);
  if (RAM_EXTENSION_A != "NONE" || RAM_EXTENSION_B != "NONE")
    $error("block RAMs in cascade have no model");
  localparam [255:0] DATA [0:127] = '{
    INIT_00, INIT_01, INIT_02, INIT_03, INIT_04, INIT_05, INIT_06, INIT_07,
    INIT_08, INIT_09, INIT_0A, INIT_0B, INIT_0C, INIT_0D, INIT_0E, INIT_0F,
    INIT_10, INIT_11, INIT_12, INIT_13, INIT_14, INIT_15, INIT_16, INIT_17,
    INIT_18, INIT_19, INIT_1A, INIT_1B, INIT_1C, INIT_1D, INIT_1E, INIT_1F,
    INIT_20, INIT_21, INIT_22, INIT_23, INIT_24, INIT_25, INIT_26, INIT_27,
    INIT_28, INIT_29, INIT_2A, INIT_2B, INIT_2C, INIT_2D, INIT_2E, INIT_2F,
    INIT_30, INIT_31, INIT_32, INIT_33, INIT_34, INIT_35, INIT_36, INIT_37,
    INIT_38, INIT_39, INIT_3A, INIT_3B, INIT_3C, INIT_3D, INIT_3E, INIT_3F,
    INIT_40, INIT_41, INIT_42, INIT_43, INIT_44, INIT_45, INIT_46, INIT_47,
    INIT_48, INIT_49, INIT_4A, INIT_4B, INIT_4C, INIT_4D, INIT_4E, INIT_4F,
    INIT_50, INIT_51, INIT_52, INIT_53, INIT_54, INIT_55, INIT_56, INIT_57,
    INIT_58, INIT_59, INIT_5A, INIT_5B, INIT_5C, INIT_5D, INIT_5E, INIT_5F,
    INIT_60, INIT_61, INIT_62, INIT_63, INIT_64, INIT_65, INIT_66, INIT_67,
    INIT_68, INIT_69, INIT_6A, INIT_6B, INIT_6C, INIT_6D, INIT_6E, INIT_6F,
    INIT_70, INIT_71, INIT_72, INIT_73, INIT_74, INIT_75, INIT_76, INIT_77,
    INIT_78, INIT_79, INIT_7A, INIT_7B, INIT_7C, INIT_7D, INIT_7E, INIT_7F
  };
  localparam [255:0] PARITY [0:15] = '{
    INITP_00, INITP_01, INITP_02, INITP_03, INITP_04, INITP_05, INITP_06, INITP_07,
    INITP_08, INITP_09, INITP_0A, INITP_0B, INITP_0C, INITP_0D, INITP_0E, INITP_0F
  };
  integer i, j;
  initial for (i = 0; i < 128; i = i + 1) for (j = 0; j < 32; j = j + 1)
    ram.memory[32 * i + j] = {PARITY[i / 8][32 * (i % 8) + j], DATA[i][8 * j +: 8]};

  // Simple dual port: port A reads and port B writes, words of up to twice the width on the pins of both.
  localparam SIMPLE = RAM_MODE == "SDP", READS_WIDE = SIMPLE && READ_WIDTH_A == 72;
  localparam WRITES_WIDE = SIMPLE && WRITE_WIDTH_B == 72;
  function automatic [35:0] bytes(input [31:0] data, input [3:0] parity);
    for (int i = 0; i < 4; i++) bytes[9 * i +: 9] = {parity[i], data[8 * i +: 8]};
  endfunction
  wire [35:0] given_a = bytes(DIADI, DIPADIP), given_b = bytes(DIBDI, DIPBDIP);
  wire [71:0] word_a, word_b;
  wire [35:0] second = READS_WIDE ? word_a[36 +: 36] : word_b[35:0];

  firstspike_block_ram #(
    .PLACE(12), .READ_A(READ_WIDTH_A), .WRITE_A(WRITE_WIDTH_A), .READ_B(READ_WIDTH_B),
    .WRITE_B(WRITE_WIDTH_B), .MODE_A(WRITE_MODE_A), .MODE_B(WRITE_MODE_B), .OLD_A(WRITE_MODE_B == "READ_FIRST"),
    .OLD_B(WRITE_MODE_A == "READ_FIRST"), .REGISTER_A(DOA_REG), .REGISTER_B(DOB_REG),
    .RESET_A(72'({bytes(SRVAL_B[31:0], SRVAL_B[35:32]), bytes(SRVAL_A[31:0], SRVAL_A[35:32])})),
    .RESET_B(72'(bytes(SRVAL_B[31:0], SRVAL_B[35:32])))
  ) ram (
    .clk_a(CLKARDCLK), .clk_b(CLKBWRCLK), .enable_a(ENARDEN), .enable_b(ENBWREN), .output_a(REGCEAREGCE),
    .output_b(REGCEB), .reset_a(RSTRAMARSTRAM), .reset_b(RSTRAMB), .write_a(8'(WEA)), .write_b(8'(WEBWE)),
    .address_a(ADDRARDADDR[14:0]), .address_b(ADDRBWRADDR[14:0]), .given_a(72'(given_a)),
    .given_b(WRITES_WIDE ? 72'({given_b, given_a}) : 72'(given_b)), .word_a(word_a), .word_b(word_b));

  for (genvar i = 0; i < 4; i++) begin : outputs
    assign {DOPADOP[i], DOADO[8 * i +: 8]} = word_a[9 * i +: 9];
    assign {DOPBDOP[i], DOBDO[8 * i +: 8]} = second[9 * i +: 9];
  end
endmodule
