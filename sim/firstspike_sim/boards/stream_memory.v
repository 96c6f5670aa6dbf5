// SPDX-License-Identifier: MIT
// A memory at the streams of `firstspike_hw.beat_streams.memory_signature`: a beat a cycle, one request at a time. A reset
// clears it, and it starts some cycles later. Requests beyond its end are answered by errors.

module stream_memory #(
  parameter BEAT_BITS = 64,
  parameter BEATS = 1024,
  parameter START = 1000  // cycles
) (
  input clk, rst,
  input requests_valid, output requests_ready, input [47:0] requests_payload,  // address, beats
  output responses_valid, input responses_ready, output [BEAT_BITS+1:0] responses_payload,  // data, last, error
  input writes_valid, output writes_ready, input [BEAT_BITS+31:0] writes_payload,  // address, data
  output started
);
  localparam SHIFT = $clog2(BEAT_BITS / 8);
  reg [BEAT_BITS-1:0] store [0:BEATS-1];
  reg [31:0] place;
  reg [15:0] left;
  integer wait_ = START, beat;
  wire [31:0] written = writes_payload[31:0] >> SHIFT;

  assign started = wait_ == 0;
  assign writes_ready = started;
  assign requests_ready = started && left == 0 && !writes_valid;
  assign responses_valid = left != 0;
  assign responses_payload = {place >= BEATS, left == 1, place < BEATS ? store[place] : {BEAT_BITS{1'b0}}};

  always @(posedge clk) begin
    if (rst) begin
      wait_ <= START;
      left <= 0;
      for (beat = 0; beat < BEATS; beat = beat + 1) store[beat] <= 0;
    end else begin
      if (!started) wait_ <= wait_ - 1;
      if (writes_valid && writes_ready && written < BEATS) store[written] <= writes_payload[BEAT_BITS+31:32];
      if (requests_valid && requests_ready) begin
        place <= requests_payload[31:0] >> SHIFT;
        left <= requests_payload[47:32];
      end else if (responses_valid && responses_ready) begin
        place <= place + 1;
        left <= left - 1;
      end
    end
  end
endmodule
