//! What a client repeats its request with, once it has been asked for input.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

/// The members that a repeated request has more than the first one.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InputResponses<'a> {
    /// What the bridge gave with its question.
    pub(crate) request_state: String,
    /// The client's answers by the names of the questions, as JSON.
    #[serde(borrow, default)]
    pub(crate) input_responses: BTreeMap<String, &'a RawValue>,
}

impl<'a> InputResponses<'a> {
    /// Reads them from a request's parameters; none if the request is not a repeated one.
    pub(crate) fn read(params: Option<&'a str>) -> Option<Self> {
        serde_json::from_str(params?).ok()
    }
}
