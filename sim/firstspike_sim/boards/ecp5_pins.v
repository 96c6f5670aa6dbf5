// SPDX-License-Identifier: MIT
// Cells of ECP5 that LiteDRAM's controller has at its pins and on its reset.
// Ref: Lattice FPGA-TN-02032 (I/O), "FPGA Libraries Reference Guide": OFS1P3BX, IFS1P3BX, FD1S3BX.

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
