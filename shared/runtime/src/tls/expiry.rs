//! When a certificate ends: the one field of X.509 that an operator must be told of in time. rustls checks everything else.

use rustls_pki_types::CertificateDer;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

const FORMAT: &[BorrowedFormatItem<'static>] = format_description!("[year][month][day][hour][minute][second]Z");

/// Seconds since 1970. None where it isn't a certificate.
pub(super) fn expires_at(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, outer, _) = element(certificate)?;
    let (_, mut fields, _) = element(outer)?;
    // [version,] serial number, algorithm, issuer: then from when, until when.
    let (tag, _, after_version) = element(fields)?;
    if tag == VERSION {
        fields = after_version;
    }
    for _ in 0..3 {
        fields = element(fields)?.2;
    }
    let (tag, validity, _) = element(fields)?;
    let (kind, until, _) = element(element(validity)?.2)?;
    let text = std::str::from_utf8(until).ok().filter(|_| tag == SEQUENCE)?;
    let text = match kind {
        GENERALIZED_TIME => text.to_owned(),
        // 1950 to 2049.
        UTC_TIME => format!("{}{text}", if text.get(..2)?.parse::<u8>().ok()? < 50 { "20" } else { "19" }),
        _ => return None,
    };
    let time = PrimitiveDateTime::parse(&text, FORMAT).ok()?;
    Some(OffsetDateTime::unix_timestamp(time.assume_utc()))
}

/// The first element of DER: its tag, its content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, after) = rest.split_at_checked(length)?;
    Some((tag, content, after))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn the_end_is_found_in_both_forms_of_time() {
        for (year, seconds) in [(2031, 1_924_992_000), (2060, 2_840_140_800)] {
            let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
            params.not_after = date_time_ymd(year, 1, 1);
            let certificate = params.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate");
            assert_eq!(expires_at(certificate.der()), Some(seconds), "{year}");
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        for bytes in [&[][..], &[0x30], &[0x30, 0x85, 1, 1, 1, 1, 1], &[0x30, 3, 1, 2]] {
            assert_eq!(expires_at(&CertificateDer::from(bytes)), None);
        }
    }
}
