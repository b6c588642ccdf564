//! A worker whose keys are protected worse than demanded is asked nothing: not at the first connection, and not after the worker
//! was exchanged for another one.

use yanqian_vocabulary::TokenGrade;

use super::WorkerError;
use super::connection::Connection;
use crate::protocol::{Answer, Operation, Outcome, codes};

/// Asks the worker at the other end for its grade.
pub(super) async fn must_be_at_least(demanded: TokenGrade, connection: &Connection) -> Result<(), WorkerError> {
    let outcome = connection.call(Operation::Status).await.map_err(|lost| lost.error)?;
    let Outcome::Done(Answer::Status(status)) = outcome else {
        return Err(WorkerError::Protocol("a question for the state was answered by something else".into()));
    };
    let found = status.grade.parse().map_err(|error| WorkerError::Protocol(format!("the worker's grade: {error}")))?;
    check(demanded, found, &status.profile)
}

fn check(demanded: TokenGrade, found: TokenGrade, profile: &str) -> Result<(), WorkerError> {
    if found >= demanded {
        return Ok(());
    }
    Err(WorkerError::Refused {
        code: codes::GRADE.into(),
        message: format!(
            "grade {demanded} is demanded, and the worker's token is of grade {found} (profile {profile:?})"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_grade_is_refused_and_both_are_named() {
        use TokenGrade::{Development, Hsm, Sealed};
        for (demanded, found, taken) in [
            (Hsm, Hsm, true),
            (Hsm, Sealed, false),
            (Hsm, Development, false),
            (Sealed, Hsm, true),
            (Sealed, Sealed, true),
            (Sealed, Development, false),
            (Development, Development, true),
        ] {
            match check(demanded, found, "p") {
                Ok(()) => assert!(taken),
                Err(WorkerError::Refused { code, message }) => {
                    assert!(!taken && code == codes::GRADE);
                    assert!(message.contains(demanded.as_str()) && message.contains(found.as_str()), "{message}");
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
}
