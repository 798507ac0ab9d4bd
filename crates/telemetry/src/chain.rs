use std::error::Error;
use std::fmt::Write;

/// The sources of an error, nearest first, without the error itself.
pub fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

/// An error and all its sources on one line, joined by `: `.
///
/// Display of our errors never repeats the source's text, so the chain is written once, where the error is handled.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    for cause in causes(error) {
        // Writing to a String cannot fail.
        let _ = write!(line, ": {cause}");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Clause(&'static str, Option<Box<Self>>);

    impl std::fmt::Display for Clause {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Clause {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as _)
        }
    }

    #[test]
    fn every_source_appears_once_nearest_first() {
        let inner = Clause("permission denied", None);
        let middle = Clause("cannot read key.pem", Some(Box::new(inner)));
        let outer = Clause("the signing key is unusable", Some(Box::new(middle)));
        assert_eq!(chain(&outer), "the signing key is unusable: cannot read key.pem: permission denied");
        assert_eq!(causes(&outer).count(), 2);
    }
}
