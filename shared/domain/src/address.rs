use std::fmt;

use serde::{Deserialize, Serialize};

/// A postal address, with the fields of `google.type.PostalAddress`. Personal data: it stands in one event and nowhere else, and
/// its `Debug` shows nothing of it, so no log line can. The names of the fields are stored.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PostalAddress {
    /// CLDR code of the country, such as `DE`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub region_code: String,
    /// BCP-47 code of the language that the address is written in.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub language_code: String,
    /// Postal code.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub postal_code: String,
    /// Sorting code, where a country has one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sorting_code: String,
    /// State, province or canton.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub administrative_area: String,
    /// City or town.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub locality: String,
    /// District.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sublocality: String,
    /// Street and house, from the general to the special as the country writes it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub address_lines: Vec<String>,
    /// Who receives it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<String>,
    /// The organization at the address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub organization: String,
}

impl fmt::Debug for PostalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostalAddress(..)")
    }
}
