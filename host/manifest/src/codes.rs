//! The codes of this crate's diagnostics and errors: 00xx the file and its steps, 01xx templates and expressions.
//!
//! A code keeps its meaning for ever; one that is no longer used is not given to anything else.

use windlass_contract::Code;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal;)*) => {
        $($(#[doc = $doc])+ pub const $name: Code = Code($number);)*
        /// Every code with its meaning, for the catalogue.
        pub const ALL: &[(Code, &str)] = &[$(($name, concat!($($doc),+))),*];
    };
}

codes! {
    /// The file is not valid YAML.
    YAML_SYNTAX = 1;
    /// The file, or something in it, is over a limit.
    TOO_LARGE = 2;
    /// The file holds no document, or more than one.
    NOT_ONE_DOCUMENT = 3;
    /// A mapping has the same key twice.
    DUPLICATE_KEY = 4;
    /// A YAML tag, which would be dropped silently.
    TAG = 5;
    /// A key that is no plain text, or a merge key.
    KEY = 6;
    /// A number that YAML versions read differently, or that JSON cannot hold.
    AMBIGUOUS_NUMBER = 7;
    /// A dialect that this version does not read.
    DIALECT = 8;
    /// A key that is not known here.
    UNKNOWN_KEY = 10;
    /// A value of the wrong type.
    WRONG_TYPE = 11;
    /// A key that must be there and is not.
    MISSING_KEY = 12;
    /// A value that is not allowed here.
    BAD_VALUE = 13;
    /// A duration that cannot be read.
    BAD_DURATION = 14;
    /// A name that is not allowed.
    BAD_NAME = 15;
    /// Two steps with one name.
    DUPLICATE_NAME = 16;
    /// A timeout that is given twice.
    TWO_TIMEOUTS = 17;
    /// Something that has no effect.
    NO_EFFECT = 18;
    /// Something that a server acts on, and the command line does not.
    SERVER_ONLY = 19;
    /// A step type that nobody is known to provide.
    UNKNOWN_STEP_TYPE = 20;
    /// A plugin that is not installed.
    NOT_INSTALLED = 21;
    /// A step type that several plugins claim.
    AMBIGUOUS_STEP_TYPE = 22;
    /// An installed plugin that is not of the version that is asked for.
    WRONG_VERSION = 23;
    /// A plugin whose own schema is not valid.
    BAD_PLUGIN = 24;
    /// A configuration that the plugin's schema refuses.
    CONFIG = 25;
    /// A step that is needed and does not exist.
    UNKNOWN_STEP = 30;
    /// Steps that wait for each other.
    CYCLE = 31;
    /// A state that a transition leads to, or a run begins in, and that does not exist.
    UNKNOWN_STATE = 32;
    /// A volume that is mounted and not declared.
    UNKNOWN_VOLUME = 33;
    /// A secret's reference where none may stand.
    SECRET_NOT_HERE = 40;
    /// A secret's reference that cannot be read.
    BAD_SECRET = 41;
    /// What the plugin itself says of its configuration.
    PLUGIN_SAYS = 50;
    /// A workflow that is not there.
    UNKNOWN_WORKFLOW = 60;
    /// A workflow that runs itself.
    WORKFLOW_CYCLE = 61;
    /// A workflow with an error of its own.
    BAD_WORKFLOW = 62;
    /// A file of several pipelines of which none is chosen, or one that it does not hold.
    WHICH_PIPELINE = 63;
    /// A template or sequence of templates that is not as it must be.
    SEQUENCE = 70;
    /// A state that no transition leads to.
    UNREACHABLE_STATE = 71;
    /// A state from which no end can be reached.
    NO_END = 72;
    /// A loop that only the default limit ends.
    DEFAULT_GUARD = 73;
    /// An outcome of a state that takes no transition.
    GAP = 74;
    /// A transition that is never asked, since one before it is always taken.
    AFTER_ALWAYS = 75;
    /// A state whose name says failure and whose outcome is success.
    ENDS_WELL = 76;
    /// An image whose tag may mean something else tomorrow.
    MUTABLE_TAG = 77;
    /// A template in shell text, whose value is passed by the environment.
    TEMPLATE_IN_SHELL = 78;
    /// Something that is given and that nothing reads.
    UNUSED = 79;
    /// A condition that can never hold here.
    NEVER_TRUE = 80;
    /// A template in shell text, where it is not known how a shell would read its value.
    UNSURE_SHELL = 81;
    /// More problems than are shown.
    TOO_MANY = 90;
    /// An input that was not given, is unknown, or is of the wrong type.
    INPUT = 95;

    /// A template or expression that cannot be read.
    SYNTAX = 100;
    /// A name in an expression that is not known.
    UNKNOWN_VALUE = 101;
    /// A step is read that need not have run.
    NOT_NEEDED = 102;
    /// A template where none may stand.
    TEMPLATE_NOT_HERE = 103;
    /// A value of the wrong type in an expression.
    EXPRESSION_TYPE = 104;
    /// A value that is missing during a run.
    MISSING_VALUE = 105;
    /// An object or list in text.
    NOT_TEXT = 106;
    /// An expression that is too long, too deep or too costly.
    TOO_COSTLY = 107;
    /// A rendered value that would be read as a secret's reference.
    RENDERED_SECRET = 108;
    /// A value that is read where it can never be set.
    NEVER_SET = 109;
}
