// SPDX-License-Identifier: MIT
// A block RAM with two ports, of which those of the families are special cases: its words are whole bytes of nine bits,
// up to eight, or parts of the lower eight bits of one. Where a port reads what the other writes in the same cycle and
// the device promises nothing, it reads the complement, so that nothing can rely on it.

module firstspike_block_ram #(
  parameter PLACE = 11,  // 2 ** PLACE bytes
  parameter READ_A = 18, WRITE_A = 18, READ_B = 18, WRITE_B = 18,  // widths in bits; 0: not in use
  parameter MODE_A = "NO_CHANGE", MODE_B = "NO_CHANGE",  // what a port reads while it writes
  parameter OLD_A = 0, OLD_B = 0,  // whether a port is promised the old word while the other writes
  parameter REGISTER_A = 0, REGISTER_B = 0,  // whether an output register follows
  parameter [71:0] RESET_A = 0, RESET_B = 0
) (
  input clk_a, clk_b, enable_a, enable_b, output_a, output_b, reset_a, reset_b,
  input [7:0] write_a, write_b,  // of each byte
  input [PLACE + 2:0] address_a, address_b,  // of a bit
  input [71:0] given_a, given_b,
  output [71:0] word_a, word_b
);
  reg [8:0] memory [0:2 ** PLACE - 1];  // filled by the module that has this one in it
  reg [71:0] read_a = 0, read_b = 0, held_a = 0, held_b = 0;

  // The byte that is number `one` of the word at an address.
  function automatic [PLACE - 1:0] place(input integer width, input [PLACE + 2:0] address, input integer one);
    place = address[PLACE + 2:3];
    if (width >= 9) place = (place & ~PLACE'(width / 9 - 1)) + PLACE'(one);
  endfunction

  // Whether a port writes a byte, and what then is in there.
  function automatic is_written(input [PLACE - 1:0] here, input integer width, input [PLACE + 2:0] address,
                                input [7:0] writes);
    is_written = 0;
    for (int one = 0; 9 * one < width; one++) is_written |= writes[one] && place(width, address, one) == here;
  endfunction
  function automatic [8:0] after(input [PLACE - 1:0] here, input integer width, input [PLACE + 2:0] address,
                                 input [7:0] writes, input [71:0] given);
    after = memory[here];
    for (int one = 0; 9 * one < width; one++) if (writes[one] && place(width, address, one) == here) begin
      if (width >= 9) after = given[9 * one +: 9];
      else for (int bits = 0; bits < 8; bits++)
        if (bits / width == int'(address[2:0]) / width) after[bits] = given[bits % width];
    end
  endfunction

  wire [7:0] writes_a = enable_a && WRITE_A != 0 ? write_a : 0, writes_b = enable_b && WRITE_B != 0 ? write_b : 0;

  `define FIRSTSPIKE_PORT(SIDE, OTHER, side, other) \
    reg [71:0] seen_``side; \
    always @(*) begin \
      seen_``side = 0; \
      for (int one = 0; 9 * one < READ_``SIDE; one++) begin \
        seen_``side[9 * one +: 9] = MODE_``SIDE == "WRITE_FIRST" \
          ? after(place(READ_``SIDE, address_``side, one), WRITE_``SIDE, address_``side, writes_``side, given_``side) \
          : memory[place(READ_``SIDE, address_``side, one)]; \
        if (!OLD_``SIDE && is_written(place(READ_``SIDE, address_``side, one), WRITE_``OTHER, address_``other, \
                                      writes_``other)) \
          seen_``side[9 * one +: 9] ^= 9'h1FF; \
      end \
      if (READ_``SIDE < 9 && READ_``SIDE != 0) \
        seen_``side = seen_``side[7:0] >> int'(address_``side[2:0]) / READ_``SIDE * READ_``SIDE; \
    end \
    always @(posedge clk_``side) begin \
      if (reset_``side) read_``side <= RESET_``SIDE; \
      else if (enable_``side && (writes_``side == 0 || MODE_``SIDE != "NO_CHANGE")) read_``side <= seen_``side; \
      if (output_``side) held_``side <= read_``side; \
      for (int one = 0; 9 * one < WRITE_``SIDE; one++) if (writes_``side[one]) \
        memory[place(WRITE_``SIDE, address_``side, one)] <= after( \
          place(WRITE_``SIDE, address_``side, one), WRITE_``SIDE, address_``side, writes_``side, given_``side); \
    end \
    assign word_``side = REGISTER_``SIDE ? held_``side : read_``side;

  `FIRSTSPIKE_PORT(A, B, a, b)
  `FIRSTSPIKE_PORT(B, A, b, a)
endmodule
