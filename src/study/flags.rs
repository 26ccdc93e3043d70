//! Flags of the command line that set settings. Knows their names and values, nothing of clap.

/// A flag that sets a setting, beside the flags all experiments share.
pub struct Flag {
    pub name: &'static str,
    /// Empty for a switch, which sets its setting to true.
    pub value_name: &'static str,
    /// The setting it gives a value to.
    pub setting: &'static str,
    /// May be given more than once; the setting is then a list.
    pub repeatable: bool,
    /// Turns the flag's text into a TOML value, for settings that are not text.
    pub parse: fn(&str) -> Result<toml::Value, String>,
    pub help: &'static str,
}

impl Flag {
    /// For settings that are text.
    ///
    /// # Errors
    /// None; the signature is that of [`Flag::parse`].
    pub fn text(text: &str) -> Result<toml::Value, String> {
        Ok(text.into())
    }

    /// For settings that are whole numbers.
    ///
    /// # Errors
    /// Where the text is none.
    pub fn whole(text: &str) -> Result<toml::Value, String> {
        let number = text.parse::<u32>().map_err(|_| format!("'{text}' is not a whole number from 0 up"))?;
        Ok(i64::from(number).into())
    }

    /// For switches.
    ///
    /// # Errors
    /// None; the signature is that of [`Flag::parse`].
    pub fn switch(_: &str) -> Result<toml::Value, String> {
        Ok(true.into())
    }
}

/// `--dataset`, of every study on digits.
pub const DATASET_FLAG: Flag = Flag {
    name: "dataset",
    value_name: "NAME",
    setting: "dataset",
    repeatable: false,
    parse: Flag::text,
    help: "mnist, or synthetic: digits drawn by hw1 itself [default: mnist; synthetic in the smoke preset]",
};

/// `--trainings`, of every study of several trainings of one network.
pub const TRAININGS_FLAG: Flag = Flag {
    name: "trainings",
    value_name: "N",
    setting: "trainings",
    repeatable: false,
    parse: Flag::whole,
    help: "Trainings, each from its own initial weights",
};
