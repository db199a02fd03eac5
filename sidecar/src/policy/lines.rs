//! Lines out of a stream of bytes, within a bound.

/// The longest line that is read: a pod's documents, all of them, are far shorter.
pub(super) const LONGEST_LINE: usize = 1024 * 1024;

/// A line longer than [`LONGEST_LINE`]; where the next one begins is not looked for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line of the policy stream is longer than {LONGEST_LINE} bytes")]
pub struct LineTooLong;

/// Bytes that are not a whole line yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// Takes what arrived and gives the lines that it completes, without their ends. Empty lines are left out.
    pub(super) fn take(&mut self, mut arrived: &[u8]) -> Result<Vec<Vec<u8>>, LineTooLong> {
        let mut lines = Vec::new();
        while let Some(at) = arrived.iter().position(|byte| *byte == b'\n') {
            let (end, rest) = arrived.split_at(at);
            self.add(end)?;
            // Gives the memory away with the line: between two events a pod holds none of it.
            lines.push(std::mem::take(&mut self.begun));
            arrived = rest.get(1..).unwrap_or_default();
        }
        self.add(arrived)?;
        lines.retain(|line| !line.trim_ascii().is_empty());
        Ok(lines)
    }

    fn add(&mut self, bytes: &[u8]) -> Result<(), LineTooLong> {
        if self.begun.len() + bytes.len() > LONGEST_LINE {
            return Err(LineTooLong);
        }
        self.begun.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lines_do_not_depend_on_how_they_arrive(lines in prop::collection::vec("[a-z]{1,20}", 0..8), sizes in prop::collection::vec(1usize..9, 1..9)) {
            let whole: Vec<u8> = lines.iter().flat_map(|line| format!("{line}\n\n").into_bytes()).collect();
            let mut reader = Lines::default();
            let (mut rest, mut read, mut sizes) = (whole.as_slice(), Vec::new(), sizes.iter().cycle());
            while !rest.is_empty() {
                let (piece, after) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
                read.extend(reader.take(piece).unwrap());
                rest = after;
            }
            prop_assert_eq!(read, lines.into_iter().map(String::into_bytes).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_line_may_be_as_long_as_the_bound_and_not_a_byte_longer() {
        let mut lines = Lines::default();
        assert_eq!(lines.take(&vec![b'x'; LONGEST_LINE]).unwrap().len(), 0);
        assert_eq!(lines.take(b"\n").unwrap().len(), 1);
        assert_eq!(lines.take(&vec![b'x'; LONGEST_LINE]).unwrap().len(), 0);
        assert_eq!(lines.take(b"x"), Err(LineTooLong));
    }
}
