//! The heads of HTTP/2's frames in a stream of bytes, however it is cut into reads and writes. Payloads are passed over.

/// Bytes of a frame's head.
const HEAD_BYTES: usize = 9;
/// Bytes that a client sends before its first frame.
const PREFACE_BYTES: usize = 24;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
#[cfg(test)]
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
const GOAWAY: u8 = 7;
#[cfg(test)]
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;
/// The flag of a stream's last frame.
const END_STREAM: u8 = 1;
/// RFC 9113, 7: the other side is told to do less.
const ENHANCE_YOUR_CALM: u32 = 11;

/// What a frame says of itself first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct FrameHead {
    /// Bytes of its payload.
    pub(super) length: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
    /// 0 where it is about the whole connection.
    pub(super) stream: u32,
}

impl FrameHead {
    fn decode(bytes: [u8; HEAD_BYTES]) -> Self {
        let [high, middle, low, kind, flags, stream @ ..] = bytes;
        // The highest bit means nothing.
        let stream = u32::from_be_bytes(stream) & (u32::MAX >> 1);
        Self { length: u32::from_be_bytes([0, high, middle, low]), kind, flags, stream }
    }

    /// Data that says nothing: neither bytes nor an end.
    pub(super) fn is_empty_data(self) -> bool {
        self.kind == DATA && self.length == 0 && self.flags & END_STREAM == 0
    }
}

/// Finds the heads in one direction of a connection.
#[derive(Debug)]
pub(super) struct FrameHeads {
    /// Bytes to pass over before the next head.
    ahead: usize,
    head: [u8; HEAD_BYTES],
    /// Bytes of the head that are there.
    present: usize,
}

impl FrameHeads {
    /// What a client sends: its preface first.
    pub(super) fn of_client() -> Self {
        Self { ahead: PREFACE_BYTES, head: [0; HEAD_BYTES], present: 0 }
    }

    /// What a server sends.
    pub(super) fn of_server() -> Self {
        Self { ahead: 0, head: [0; HEAD_BYTES], present: 0 }
    }

    /// Goes on by `bytes`.
    pub(super) fn read(&mut self, mut bytes: &[u8], mut each: impl FnMut(FrameHead)) {
        loop {
            let passed = self.ahead.min(bytes.len());
            self.ahead -= passed;
            bytes = &bytes[passed..];
            if bytes.is_empty() {
                return;
            }
            let (taken, rest) = bytes.split_at((HEAD_BYTES - self.present).min(bytes.len()));
            self.head[self.present..self.present + taken.len()].copy_from_slice(taken);
            self.present += taken.len();
            bytes = rest;
            if self.present < HEAD_BYTES {
                return;
            }
            let head = FrameHead::decode(self.head);
            (self.present, self.ahead) = (0, head.length as usize);
            each(head);
        }
    }

    /// Whether another frame could begin here.
    pub(super) fn is_between_frames(&self) -> bool {
        self.ahead == 0 && self.present == 0
    }
}

/// The frame that ends a connection because the other side did too much; `why` is for its log.
pub(super) fn go_away(newest_stream: u32, why: &str) -> Vec<u8> {
    let payload = [&newest_stream.to_be_bytes()[..], &ENHANCE_YOUR_CALM.to_be_bytes(), why.as_bytes()].concat();
    // The reasons are short words: one byte holds the length.
    let length = u8::try_from(payload.len()).unwrap_or(u8::MAX);
    [&[0, 0, length, GOAWAY, 0, 0, 0, 0, 0][..], &payload[..usize::from(length)]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags][..], &stream.to_be_bytes(), payload].concat()
    }

    #[test]
    fn the_same_heads_are_found_however_the_bytes_are_cut() {
        let bytes = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            frame(SETTINGS, 0, 0, &[]),
            frame(HEADERS, 4, 1, &[7; 300]),
            frame(DATA, END_STREAM, 1, &[]),
            frame(DATA, 0, 0x8000_0003, &[]),
            frame(PING, 0, 0, &[0; 8]),
        ]
        .concat();
        let head = |length, kind, flags, stream| FrameHead { length, kind, flags, stream };
        let expected = [
            head(0, SETTINGS, 0, 0),
            head(300, HEADERS, 4, 1),
            head(0, DATA, END_STREAM, 1),
            head(0, DATA, 0, 3),
            head(8, PING, 0, 0),
        ];
        for size in 1..=bytes.len() {
            let (mut heads, mut found) = (FrameHeads::of_client(), Vec::new());
            for part in bytes.chunks(size) {
                heads.read(part, |head| found.push(head));
            }
            assert_eq!(found, expected, "cut into {size}");
            assert!(heads.is_between_frames());
        }
        assert!(!expected[2].is_empty_data() && expected[3].is_empty_data());
    }

    #[test]
    fn in_the_midst_of_a_frame_no_other_can_begin() {
        let mut heads = FrameHeads::of_server();
        assert!(heads.is_between_frames());
        for byte in &frame(PING, 1, 0, &[0; 8])[..16] {
            heads.read(&[*byte], |_| {});
            assert!(!heads.is_between_frames());
        }
    }

    #[test]
    fn what_ends_a_connection_is_a_frame() {
        let (mut heads, mut found) = (FrameHeads::of_server(), Vec::new());
        heads.read(&go_away(5, "too_many_pings"), |head| found.push(head));
        assert_eq!(found, [FrameHead { length: 22, kind: GOAWAY, flags: 0, stream: 0 }]);
        assert!(heads.is_between_frames());
    }
}
