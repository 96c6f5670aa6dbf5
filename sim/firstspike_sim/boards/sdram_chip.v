// SPDX-License-Identifier: MIT
// An SDR SDRAM, 16 bits wide, four banks, burst length 1, and a check of what it is told.
//
// `fault` rises with the first command that breaks a rule of the data sheet, and stays: its number says which.
// Ref: ISSI IS42S16160 data sheet, "Initialization", "Mode register definition" and "AC characteristics" (-7).

module sdram_chip #(
  parameter PS = 20000,  // period of the clock, in ps
  parameter ROW_BITS = 13,
  parameter COLUMN_BITS = 9
) (
  input clk, cke, cs_n, ras_n, cas_n, we_n,
  input [1:0] ba, dm,
  input [ROW_BITS-1:0] a,
  inout [15:0] dq,
  output reg [3:0] fault
);
  // Rules, as values of `fault`.
  localparam EARLY = 1, NO_MODE = 2, MODE = 3, NOT_OPEN = 4, OPEN = 5, TOO_SOON = 6, STALE = 7, CLASH = 8, BUSY = 9;
  // Cycles, rounded up.
  localparam POWER_UP = 100_000_000 / PS;
  localparam RCD = (20_000 + PS - 1) / PS, RP = (20_000 + PS - 1) / PS, RFC = (70_000 + PS - 1) / PS;
  localparam RAS = (42_000 + PS - 1) / PS, RC = (63_000 + PS - 1) / PS, WR = (14_000 + PS - 1) / PS;
  localparam REFI = 7_812_500 / PS;

  reg [15:0] store [0:(4 << (ROW_BITS + COLUMN_BITS)) - 1];
  reg [3:0] open = 0;
  reg [ROW_BITS-1:0] row [0:3];
  integer opened [0:3], closed [0:3], written [0:3];
  integer now = 0, refreshed = 0, refreshes = 0, moded = 0, owed = 0, bank;
  reg has_mode = 0;
  reg [2:0] latency;
  reg [15:0] read0, read1;
  reg drives0 = 0, drives1 = 0;
  wire [ROW_BITS+COLUMN_BITS+1:0] place = {row[ba], ba, a[COLUMN_BITS-1:0]};

  initial begin
    fault = 0;
    for (bank = 0; bank < 4; bank = bank + 1) begin
      opened[bank] = -1000; closed[bank] = -1000; written[bank] = -1000;
    end
    refreshed = -1000;
    moded = -1000;
  end

  assign dq = drives1 ? read1 : 16'bz;

  task breaks(input [3:0] rule);
    if (fault == 0) fault <= rule;
  endtask

  task close(input integer which);
    begin
      if (open[which] && (now - opened[which] < RAS || now - written[which] < WR)) breaks(TOO_SOON);
      if (open[which]) closed[which] = now;
      open[which] <= 0;
    end
  endtask

  always @(posedge clk) begin
    now = now + 1;
    drives1 <= drives0;
    read1 <= read0;
    drives0 <= 0;
    // All rows must be refreshed 8,192 times in 64 ms; at most eight may be late.
    if (has_mode) begin
      owed = owed + 1;
      if (owed > 9 * REFI) breaks(STALE);
    end
    if (cke && !cs_n && !(ras_n && cas_n && we_n)) begin
      if (now < POWER_UP) breaks(EARLY);
      if (now - refreshed < RFC) breaks(TOO_SOON);
      if (now - moded < 2) breaks(TOO_SOON);
      case ({ras_n, cas_n, we_n})
        3'b000: begin  // mode register
          if (open != 0) breaks(OPEN);
          for (bank = 0; bank < 4; bank = bank + 1) if (now - closed[bank] < RP) breaks(TOO_SOON);
          // Burst length 1, sequential, standard operation; bit 8 is reserved, and LiteDRAM sets it once.
          if (a[3:0] != 0 || a[7] || (a[6:4] != 2 && a[6:4] != 3)) breaks(MODE);
          latency <= a[6:4];
          has_mode <= refreshes >= 2;
          moded = now;
        end
        3'b001: begin  // refresh
          if (open != 0) breaks(OPEN);
          for (bank = 0; bank < 4; bank = bank + 1) if (now - closed[bank] < RP) breaks(TOO_SOON);
          refreshed = now;
          refreshes = refreshes + 1;
          owed = owed > REFI ? owed - REFI : 0;
        end
        3'b010: begin  // precharge
          for (bank = 0; bank < 4; bank = bank + 1) if (a[10] || ba == bank[1:0]) close(bank);
        end
        3'b011: begin  // activate
          if (!has_mode) breaks(NO_MODE);
          if (open[ba]) breaks(OPEN);
          if (now - closed[ba] < RP || now - opened[ba] < RC) breaks(TOO_SOON);
          open[ba] <= 1;
          row[ba] <= a;
          opened[ba] = now;
        end
        3'b100, 3'b101: begin  // write, read
          if (!has_mode) breaks(NO_MODE);
          if (!open[ba]) breaks(NOT_OPEN);
          if (now - opened[ba] < RCD) breaks(TOO_SOON);
          if (a[10]) close(ba);
          if (we_n) begin
            if (latency != 2) breaks(MODE);
            read0 <= store[place];
            drives0 <= 1;
          end else begin
            if (drives0 || drives1) breaks(CLASH);
            if (!dm[0]) store[place][7:0] <= dq[7:0];
            if (!dm[1]) store[place][15:8] <= dq[15:8];
            written[ba] = now;
          end
        end
        default: breaks(BUSY);  // burst stop: there are no bursts
      endcase
    end
  end
endmodule
