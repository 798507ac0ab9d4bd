//! Lines of bounded length out of a byte stream.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// How much of either end of an overlong line is kept.
const KEPT: usize = 256;

const READ_SIZE: usize = 16 * 1024;

/// A line without its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// All of it.
    Whole(Bytes),
    /// It was longer than allowed: its beginning, its end, and its length in bytes.
    TooLong { head: Bytes, tail: Bytes, length: usize },
}

/// Splits a byte stream into lines, and never holds more than one line of the allowed length.
pub(crate) struct Lines<R> {
    source: R,
    buffer: BytesMut,
    /// How much of the buffer is known to hold no line end.
    searched: usize,
    limit: usize,
    overlong: Option<(Bytes, usize)>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Lines of at most `limit` bytes.
    pub(crate) fn new(source: R, limit: usize) -> Self {
        Self { source, buffer: BytesMut::new(), searched: 0, limit: limit.max(KEPT), overlong: None }
    }

    /// The next line; none at the end of the stream, where a line that has no end is dropped.
    ///
    /// # Errors
    ///
    /// Whatever the stream gives.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let rest = self.buffer.get(self.searched..).unwrap_or_default();
            if let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
                return Ok(Some(self.take_line(self.searched + at)));
            }
            self.searched = self.buffer.len();
            if self.searched > self.limit {
                self.shorten();
            }
            self.buffer.reserve(READ_SIZE);
            if self.source.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    fn take_line(&mut self, length: usize) -> Line {
        let line = self.buffer.split_to(length + 1).freeze().slice(..length);
        self.searched = 0;
        match self.overlong.take() {
            None if length > self.limit => {
                let (head, tail) = (line.slice(..KEPT), line.slice(length - KEPT..));
                Line::TooLong { head, tail, length }
            }
            None => Line::Whole(line),
            Some((head, before)) => {
                let tail = line.slice(length.saturating_sub(KEPT)..);
                Line::TooLong { head, tail, length: before + length }
            }
        }
    }

    /// Drops an overlong line's middle; its last bytes stay in the buffer, in case the line ends here.
    fn shorten(&mut self) {
        let dropped = self.buffer.split_to(self.buffer.len().saturating_sub(KEPT));
        let (head, before) = self
            .overlong
            .take()
            .unwrap_or_else(|| (Bytes::copy_from_slice(dropped.get(..KEPT).unwrap_or(&dropped)), 0));
        self.overlong = Some((head, before + dropped.len()));
        self.searched = self.buffer.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(text: &[u8], limit: usize) -> Vec<Line> {
        let mut lines = Lines::new(text, limit);
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            all.push(line);
        }
        all
    }

    #[tokio::test]
    async fn lines_are_split_and_an_unfinished_one_is_dropped() {
        let whole = |text: &'static str| Line::Whole(Bytes::from_static(text.as_bytes()));
        assert_eq!(lines(b"one\n\ntwo\r\nthr", 300).await, [whole("one"), whole(""), whole("two\r")]);
    }

    #[tokio::test]
    async fn an_overlong_line_leaves_its_ends_and_the_next_line() {
        for length in [301, 302, 5_000, 200_000] {
            let mut text = b"head".to_vec();
            text.resize(length - 4, b'x');
            text.extend_from_slice(b"tail\nnext\n");
            let lines = lines(&text, 300).await;
            let Line::TooLong { head, tail, length: told } = &lines[0] else {
                panic!("{length}: {:?}", lines[0])
            };
            assert!(head.starts_with(b"head") && head.len() == KEPT, "{length}");
            assert!(tail.ends_with(b"tail") && tail.len() <= KEPT, "{length}");
            assert_eq!(*told, length);
            assert_eq!(lines[1], Line::Whole(Bytes::from_static(b"next")), "{length}");
        }
    }

    #[tokio::test]
    async fn a_line_of_just_the_limit_is_whole() {
        let text = [vec![b'x'; 300], b"\n".to_vec()].concat();
        assert_eq!(lines(&text, 300).await, [Line::Whole(Bytes::from(vec![b'x'; 300]))]);
    }

    #[tokio::test]
    async fn an_endless_line_is_not_kept() {
        let mut lines = Lines::new(tokio::io::repeat(b'x').take(64 << 20), 1 << 20);
        assert_eq!(lines.next().await.unwrap(), None);
        assert!(lines.buffer.capacity() < 8 << 20, "{}", lines.buffer.capacity());
    }
}
