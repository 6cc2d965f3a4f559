//! What is done to bytes on their way, undone.

/// The bytes whose ISO 8859-1 reading was written as UTF-8; none if there are none.
pub(in crate::wechat) fn latin1_undone(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

/// Every `from` as `to`; what is put in is not looked at again.
pub(in crate::wechat) fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut changed = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, behind)) = rest.split_first() {
        if let Some(behind) = rest.strip_prefix(from) {
            changed.extend_from_slice(to);
            rest = behind;
        } else {
            changed.push(*first);
            rest = behind;
        }
    }
    changed
}

/// `%41` becomes `A`; what is no such triple stays.
pub(in crate::wechat) fn percent_decoded(value: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((first, behind)) = rest.split_first() {
        let digit = |at: usize| behind.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        if let (b'%', Some(high), Some(low)) = (first, digit(0), digit(1)) {
            decoded.push(u8::try_from(high << 4 | low).unwrap_or_default());
            rest = behind.get(2..).unwrap_or_default();
        } else {
            decoded.push(*first);
            rest = behind;
        }
    }
    decoded
}
