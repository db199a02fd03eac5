//! A third reader of ClientHellos, by the figures of the RFCs and nothing else.

/// A ClientHello.
pub(super) struct PlainHello {
    message: Vec<u8>,
    /// The types of its extensions.
    pub(super) extensions: Vec<u16>,
    /// The host names in server_name.
    pub(super) names: Vec<Vec<u8>>,
}

/// Reads it; nothing where it is not whole.
pub(super) fn read(bytes: &[u8]) -> Option<PlainHello> {
    let message = join(bytes)?;
    let mut hello = Reader(message.get(4..)?);
    hello.take(2 + 32)?;
    hello.vector8()?;
    hello.vector16()?;
    hello.vector8()?;
    let mut list = Reader(if hello.0.is_empty() { &[] } else { hello.vector16()? });
    let (mut extensions, mut names) = (Vec::new(), Vec::new());
    while !list.0.is_empty() {
        let kind = list.number16()?;
        let content = list.vector16()?;
        extensions.push(kind);
        if kind == 0 {
            let mut entries = Reader(Reader(content).vector16()?);
            while !entries.0.is_empty() {
                let entry = entries.take(1)?;
                let name = entries.vector16()?;
                names.extend((entry == [0]).then(|| name.to_vec()));
            }
        }
    }
    Some(PlainHello { message, extensions, names })
}

/// The handshake message out of its records.
fn join(bytes: &[u8]) -> Option<Vec<u8>> {
    let (mut records, mut message) = (Reader(bytes), Vec::new());
    loop {
        if let [_, a, b, c, rest @ ..] = message.as_slice() {
            let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            if rest.len() >= length {
                message.truncate(4 + length);
                return Some(message);
            }
        }
        records.take(3)?;
        message.extend_from_slice(records.vector16()?);
    }
}

impl PlainHello {
    /// The same message in records of at most so many bytes.
    pub(super) fn in_records_of(&self, most: usize) -> Vec<u8> {
        let record = |part: &[u8]| [&[22, 3, 1][..], &u16::try_from(part.len()).unwrap().to_be_bytes(), part].concat();
        self.message.chunks(most).flat_map(record).collect()
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn vector8(&mut self) -> Option<&'a [u8]> {
        let length = self.take(1)?;
        self.take(length[0].into())
    }

    fn vector16(&mut self) -> Option<&'a [u8]> {
        let length = self.number16()?;
        self.take(length.into())
    }
}
