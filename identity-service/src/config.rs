//! The settings of the service. `--help` is their reference.

use std::{
    fmt::{self, Display},
    fs,
    net::SocketAddr,
    num::NonZeroU32,
    time::Duration,
};

use clap::{Parser, Subcommand};
use shared_auth::Secrets;
use shared_http::{
    config::{Environment, HttpConfig, Origin, Settings, set},
    process::ConfigError,
    shown_settings::{ShownSettings, or_none},
};
use shared_service::{CommonArgs, IDENTITY};
use shared_store::Location;

use crate::{
    first_admin::{FirstAdmin, is_length_of_username},
    operator_password::parse_password,
    password_hash::Cost,
    store::{Username, schema},
    users::Users,
};

/// The least cost that production accepts. With a lower one, passwords are soon guessed from stolen hashes.
const LEAST_PRODUCTION_COST: u32 = 10;

/// The gate and the desk of attendance-service, where `run.sh` starts it.
const DEVELOPMENT_PAGES: [&str; 2] = ["http://localhost:18082", "http://127.0.0.1:18082"];

/// TixGo identity-service: registers users and issues their tokens.
///
/// Every setting is an environment variable, a flag, or a line of `.env` in the working directory; a
/// flag wins over the environment, and the environment over `.env`. Where the environment says
/// APP_ENV=production, `.env` is not read.
#[derive(Parser)]
#[command(version)]
pub struct Args {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// Minutes until a token expires, 1 to 525600 [default: 120]
    #[arg(long, env, value_name = "MINUTES")]
    token_expire_minutes: Option<String>,

    /// Work of a password hash, as a power of two, 4 to 15; production: at least 10 [default: 12]
    #[arg(long, env, value_name = "COST")]
    bcrypt_cost: Option<String>,

    /// `on` lets who fails to log in wait before the next try [default: on]
    #[arg(long, env, value_name = "SWITCH")]
    login_guard: Option<String>,

    /// `true` adds the users panitia1 and admin1, password `secret` [default: true, in production false]
    #[arg(long, env, value_name = "BOOL")]
    demo_users: Option<String>,

    /// Who may register: `open`, everybody in either role; `committee`, everybody, and admins whom an admin
    /// registers; `admin`, whom an admin registers; `closed`, nobody [default: open, in production committee]
    #[arg(long, env, value_name = "WHO")]
    registration: Option<String>,

    /// Users that one client address may register in an hour, 0 for any number [default: 100]
    #[arg(long, env, value_name = "COUNT")]
    registrations_per_hour: Option<String>,

    /// Admin to register at the start; refused where somebody else has the name [default: none]
    #[arg(long, env, value_name = "NAME")]
    admin_username: Option<String>,

    /// File that holds the password of that admin [default: none; one is drawn, and written to the file
    /// first-admin-password beside the SQLite file]
    #[arg(long, env, value_name = "PATH")]
    admin_password_file: Option<String>,

    /// Where browsers reach attendance-service, such as `https://attendance.example.org`: the landing page links to its
    /// gate and its desk [default: none]
    #[arg(long, env, value_name = "ORIGIN")]
    attendance_url: Option<String>,

    /// What to do instead of serving
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The subcommands of the service. Without one it serves.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Those of every service.
    #[command(flatten)]
    Common(shared_service::Command),
    /// See and change who is registered; to change a SQLite file, stop the service first
    Users {
        /// What to do with them.
        #[command(subcommand)]
        users: Users,
    },
}

/// Who may register.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RegistrationPolicy {
    /// Everybody, in either role.
    Open,
    /// Everybody as committee; only an admin registers admins.
    Committee,
    /// Only an admin registers users.
    Admin,
    /// Nobody.
    Closed,
}

impl Display for RegistrationPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Committee => "committee",
            Self::Admin => "admin",
            Self::Closed => "closed",
        })
    }
}

/// The settings of the service, checked.
#[derive(Debug)]
pub struct Config {
    /// Server and log.
    pub http: HttpConfig,
    /// The keys that sign and verify tokens.
    pub secrets: Secrets,
    /// How long a token is valid.
    pub token_lifetime: Duration,
    /// The cost of new password hashes.
    pub bcrypt_cost: Cost,
    /// Whether a client has to wait after a failed login.
    pub login_guard: bool,
    /// Who may register.
    pub registration: RegistrationPolicy,
    /// How many users one client may register in an hour. `None` means no limit.
    pub registrations_per_hour: Option<NonZeroU32>,
    /// The admin to register at the start.
    pub first_admin: Option<FirstAdmin>,
    /// Whether the users `panitia1` and `admin1` exist, whose password is published.
    pub demo_users: bool,
    /// Where the users are kept.
    pub location: Location,
    /// Where browsers reach attendance-service.
    pub attendance_url: Option<Origin>,
}

impl Args {
    /// The cost of new password hashes.
    ///
    /// # Errors
    ///
    /// `APP_ENV` or `BCRYPT_COST` is wrong.
    pub fn bcrypt_cost(&self) -> Result<Cost, ConfigError> {
        let mut settings = Settings::default();
        let environment = self.common.http.environment(&mut settings);
        let cost = self.read_bcrypt_cost(&mut settings, environment);
        settings.finish(cost)
    }

    /// Checks every setting.
    ///
    /// # Errors
    ///
    /// Every mistake, at once.
    pub fn check(&self) -> Result<Config, ConfigError> {
        let mut settings = Settings::default();
        let location = self.common.store.check(&mut settings, schema::FILE_NAME);
        let http = self.common.http.check(
            &mut settings,
            IDENTITY.default_port,
            &DEVELOPMENT_PAGES,
            location.directory(),
        );
        let secrets = self.common.token.check(&mut settings, http.environment);
        let minutes = settings.number("TOKEN_EXPIRE_MINUTES", &self.token_expire_minutes, 120, 1, 525_600);
        let (demo_users, registration) = match http.environment {
            Environment::Development => (true, RegistrationPolicy::Open),
            Environment::Production => (false, RegistrationPolicy::Committee),
        };
        let bcrypt_cost = self.read_bcrypt_cost(&mut settings, http.environment);
        let login_guard =
            settings.read("LOGIN_GUARD", &self.login_guard, true, "on or off", |text| match text {
                "on" => Some(true),
                "off" => Some(false),
                _ => None,
            });
        let demo_users =
            settings.read("DEMO_USERS", &self.demo_users, demo_users, "true or false", |text| match text {
                "true" | "1" => Some(true),
                "false" | "0" => Some(false),
                _ => None,
            });
        let registration = settings.read(
            "REGISTRATION",
            &self.registration,
            registration,
            "open, committee, admin or closed",
            |text| match text {
                "open" => Some(RegistrationPolicy::Open),
                "committee" => Some(RegistrationPolicy::Committee),
                "admin" => Some(RegistrationPolicy::Admin),
                "closed" => Some(RegistrationPolicy::Closed),
                _ => None,
            },
        );
        let per_hour =
            settings.number("REGISTRATIONS_PER_HOUR", &self.registrations_per_hour, 100, 0, 1_000_000);
        let first_admin = self.first_admin(&mut settings);
        let attendance_url = settings.read(
            "ATTENDANCE_URL",
            &self.attendance_url,
            None,
            "the scheme, host and port of attendance-service, such as https://attendance.example.org",
            |text| Origin::parse(text).map(Some),
        );
        settings.finish(Config {
            http,
            secrets,
            token_lifetime: Duration::from_secs(minutes * 60),
            bcrypt_cost,
            login_guard,
            registration,
            registrations_per_hour: NonZeroU32::new(per_hour as u32),
            first_admin,
            demo_users,
            location,
            attendance_url,
        })
    }
}

impl Args {
    fn read_bcrypt_cost(&self, settings: &mut Settings, environment: Environment) -> Cost {
        let least = match environment {
            Environment::Development => Cost::MIN,
            Environment::Production => LEAST_PRODUCTION_COST,
        };
        let allowed = format!("a whole number from {least} to {}", Cost::MAX);
        settings.read("BCRYPT_COST", &self.bcrypt_cost, Cost::default(), &allowed, |text| {
            Cost::new(text.parse().ok().filter(|cost| *cost >= least)?)
        })
    }

    fn first_admin(&self, settings: &mut Settings) -> Option<FirstAdmin> {
        let username = settings.read(
            "ADMIN_USERNAME",
            &self.admin_username,
            None,
            "a name of 3 to 50 characters",
            |text| is_length_of_username(text).then(|| Some(Username(text.to_owned()))),
        );
        let password = set(&self.admin_password_file).and_then(|path| {
            let read = fs::read_to_string(path).map_err(|error| format!("which cannot be read: {error}"));
            let password = read.and_then(|text| {
                parse_password(text.trim_end()).map_err(|what| format!("which holds {what}"))
            });
            password
                .map_err(|mistake| settings.mistake(format!("ADMIN_PASSWORD_FILE is {path:?}, {mistake}")))
                .ok()
        });
        if set(&self.admin_username).is_none() && set(&self.admin_password_file).is_some() {
            settings.mistake("ADMIN_PASSWORD_FILE is set and ADMIN_USERNAME is not; set both".to_owned());
        }
        username.map(|username| FirstAdmin { username, password })
    }
}

impl Config {
    /// The settings as `doctor` shows them. Of a secret it shows only how strong it is.
    pub fn shown(&self) -> ShownSettings {
        let mut shown = ShownSettings::default();
        self.http.show(&mut shown);
        self.secrets.show(&mut shown);
        self.location.show(&mut shown);
        shown.show("TOKEN_EXPIRE_MINUTES", self.token_lifetime.as_secs() / 60);
        shown.show("BCRYPT_COST", self.bcrypt_cost.power());
        shown.show("LOGIN_GUARD", if self.login_guard { "on" } else { "off" });
        shown.show("REGISTRATION", self.registration);
        shown.show("REGISTRATIONS_PER_HOUR", self.registrations_per_hour.map_or(0, NonZeroU32::get));
        shown.show("ADMIN_USERNAME", or_none(self.first_admin.as_ref().map(|admin| &admin.username.0)));
        shown.show("DEMO_USERS", self.demo_users);
        shown.show("ATTENDANCE_URL", or_none(self.attendance_url.as_ref()));
        shown
    }

    /// Logs a warning for each dangerous setting, and then that the service is ready at `address`.
    pub fn announce(&self, address: SocketAddr) {
        let environment = self.http.environment;
        if environment == Environment::Production && self.location == Location::Memory {
            tracing::warn!(
                "users are kept in memory only: a restart forgets them; set DATABASE_URL to keep them"
            );
        }
        self.secrets.announce();
        match self.registration {
            RegistrationPolicy::Open if environment == Environment::Production => {
                tracing::warn!(
                    "anybody can register, also as admin; set REGISTRATION=committee or admin in public"
                );
            }
            RegistrationPolicy::Admin | RegistrationPolicy::Closed
                if self.first_admin.is_none() && !self.demo_users =>
            {
                tracing::warn!(
                    registration = %self.registration,
                    "where nobody has registered yet nobody can log in; set ADMIN_USERNAME"
                );
            }
            _ => {}
        }
        let is_reachable = environment == Environment::Production || !address.ip().is_loopback();
        if self.demo_users && is_reachable {
            tracing::warn!("anybody can log in as panitia1 or admin1; set DEMO_USERS=false in public");
        }
        // Last: a script that waits for this line has then read the warnings too.
        let demo_users = if self.demo_users { "on" } else { "off" };
        tracing::info!(%address, %environment, store = %self.location, demo_users, "identity-service is ready");
    }
}
