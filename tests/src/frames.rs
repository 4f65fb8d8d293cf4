//! HTTP/2 by hand: what no client would send.

/// What a client's connection begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Part of a message.
pub const DATA: u8 = 0;
/// The beginning of a call or an answer.
pub const HEADERS: u8 = 1;
/// A call is given up.
pub const RST_STREAM: u8 = 3;
/// How a side wants it.
pub const SETTINGS: u8 = 4;
/// Is anybody there?
pub const PING: u8 = 6;
/// The end of a connection.
pub const GOAWAY: u8 = 7;
/// More may be sent.
pub const WINDOW_UPDATE: u8 = 8;
/// More headers.
pub const CONTINUATION: u8 = 9;
/// The flag of a stream's last frame.
const END_STREAM: u8 = 1;
/// The flag of the last frame of headers.
const END_HEADERS: u8 = 4;

/// A frame's bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A call of health by its headers, and an empty message: what costs a server something and needs nothing to be there.
pub fn call(stream: u32) -> Vec<u8> {
    // POST, http; then literals: the path and the authority by their indices, and a name of its own.
    let mut block = vec![0x83, 0x86];
    literal(&mut block, 4, b"/grpc.health.v1.Health/Watch");
    literal(&mut block, 1, b"victim");
    block.extend([0x00, 12]);
    block.extend(b"content-type");
    block.push(16);
    block.extend(b"application/grpc");
    let headers = frame(HEADERS, END_HEADERS, stream, &block);
    [headers, frame(DATA, END_STREAM, stream, &[0; 5])].concat()
}

/// Kind and payload of each whole frame in `bytes`.
pub fn frames(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut frames = Vec::new();
    while let [high, middle, low, kind, _, _, _, _, _, rest @ ..] = bytes {
        let length = u32::from_be_bytes([0, *high, *middle, *low]) as usize;
        let Some((payload, next)) = rest.split_at_checked(length) else { break };
        frames.push((*kind, payload));
        bytes = next;
    }
    frames
}

fn literal(block: &mut Vec<u8>, name: u8, value: &[u8]) {
    block.push(name);
    block.push(u8::try_from(value.len()).unwrap_or(127));
    block.extend(value);
}
