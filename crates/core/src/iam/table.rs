//! The table: each action, who calls it, on what, and why.

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Caller {
    /// The agent, on the instance.
    Agent,
    /// `lightsout-agent doctor`, with the instance's role.
    Doctor,
    Scaler,
    /// A person who looks after a group, with credentials of their own.
    Operator,
    /// A person who reads records, with credentials of their own.
    Person,
    /// `lightsout doctor`, with the credentials of whoever runs it.
    Workstation,
}

impl Caller {
    /// The words in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "instance",
            Self::Doctor => "instance, for `doctor` only",
            Self::Scaler => "scaler",
            Self::Operator => "you, for `ps`, `drain`, `hold` and `logs` of a group only",
            Self::Person => "you, for `explain` and `logs` with `--log-group` only",
            Self::Workstation => "you, for `lightsout doctor` only",
        }
    }
}

/// How far an action can be narrowed (Service Authorization Reference: the resource types and condition keys of each service).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bound {
    /// Not at all.
    Everything,
    /// To the Auto Scaling group: its members are no resources of their own.
    Group,
    /// To the instance whose credentials sign the call.
    Itself,
    /// To the parameters of Systems Manager that the settings name.
    Parameter,
    /// To the secrets of Secrets Manager that the settings name.
    Secret,
    /// To the keys of the secrets, used through the two services above.
    Key,
    /// To one group of CloudWatch Logs.
    LogGroup,
    /// To the departures' place in S3.
    Departures,
    /// To the object that holds the scaler's settings.
    SettingsObject,
    /// To the members of some groups.
    Members,
    /// To one tag of the members of some groups.
    Order,
    /// To the document of Systems Manager that runs a script.
    Document,
    /// To the roles of instances and scaler, their policies, the function with its schedules, and the keys of volumes.
    Roles,
}

impl Bound {
    /// A statement's `Sid`.
    pub(super) const fn sid(self) -> &'static str {
        match self {
            Self::Everything => "Look",
            Self::Group => "Groups",
            Self::Itself => "Itself",
            Self::Parameter => "Parameters",
            Self::Secret => "Secrets",
            Self::Key => "Decrypt",
            Self::LogGroup => "Logs",
            Self::Departures => "Departures",
            Self::SettingsObject => "Settings",
            Self::Members => "Members",
            Self::Order => "Orders",
            Self::Document => "Document",
            Self::Roles => "Roles",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Right {
    /// The action, as IAM writes it.
    pub action: &'static str,
    /// Who calls it.
    pub caller: Caller,
    /// How far it can be narrowed.
    pub on: Bound,
    /// What it is for, as Markdown.
    pub why: &'static str,
}

const fn right(caller: Caller, on: Bound, action: &'static str, why: &'static str) -> Right {
    Right { action, caller, on, why }
}

/// All of them.
pub const RIGHTS: &[Right] = {
    use Bound::{
        Departures, Document, Everything, Group, Itself, Key, LogGroup, Members, Order, Parameter, Roles, Secret,
        SettingsObject,
    };
    use Caller::{Agent, Doctor, Operator, Person, Scaler, Workstation};
    &[
        right(
            Agent,
            Everything,
            "autoscaling:DescribeAutoScalingInstances",
            "its own state: no runner starts before `InService`",
        ),
        right(
            Agent,
            Everything,
            "autoscaling:DescribeAutoScalingGroups",
            "is the group above its minimum, and are new instances protected?",
        ),
        right(
            Agent,
            Everything,
            "autoscaling:DescribeLifecycleHooks",
            "which hook is its to answer, and how long each waits",
        ),
        right(
            Agent,
            Group,
            "autoscaling:TerminateInstanceInAutoScalingGroup",
            "ends itself and lowers the capacity by one, in one call",
        ),
        right(
            Agent,
            Group,
            "autoscaling:SetInstanceProtection",
            "where protection is lost or not known, or is for busy instances only",
        ),
        right(Agent, Group, "autoscaling:SetInstanceHealth", "a way to be replaced, where ending was refused"),
        right(
            Agent,
            Group,
            "autoscaling:CompleteLifecycleAction",
            "the jobs are done: the wait behind the hook may end",
        ),
        right(Agent, Group, "autoscaling:RecordLifecycleActionHeartbeat", "jobs still run: the hook waits on"),
        right(Agent, Itself, "ec2:TerminateInstances", "the last way but one, where the group does not answer"),
        right(Agent, Itself, "ec2:CreateTags", "writes that it is ready, and why it left"),
        right(Agent, Parameter, "ssm:GetParameter", "registers the runner"),
        right(Agent, Secret, "secretsmanager:GetSecretValue", "registers the runner"),
        right(Agent, Key, "kms:Decrypt", "secrets with a key of your own"),
        right(Agent, LogGroup, "logs:CreateLogStream", "`records.log_group`: a stream of its own"),
        right(Agent, LogGroup, "logs:PutLogEvents", "`records.log_group`: its records, also of its own end"),
        right(Agent, Departures, "s3:PutObject", "its departure, where it can be found a year later"),
        right(Doctor, Everything, "ec2:DescribeInstances", "the metadata options"),
        right(Doctor, Everything, "ec2:DescribeInstanceAttribute", "does switching off end the machine?"),
        right(Doctor, Everything, "ec2:DescribeLaunchTemplateVersions", "what new instances start from"),
        right(Doctor, Everything, "ec2:DescribeImages", "is the image still there?"),
        right(Doctor, Everything, "ec2:DescribeInstanceTypeOfferings", "does each zone have each type?"),
        right(Doctor, Everything, "autoscaling:DescribePolicies", "does a policy change the capacity?"),
        right(Doctor, Everything, "autoscaling:DescribeScheduledActions", "does a schedule change the capacity?"),
        right(
            Doctor,
            Everything,
            "autoscaling:DescribeInstanceRefreshes",
            "does a refresh wait for protected instances?",
        ),
        right(Doctor, Everything, "autoscaling:DescribeScalingActivities", "did the last launch succeed?"),
        right(
            Scaler,
            Everything,
            "autoscaling:DescribeAutoScalingGroups",
            "capacity and bounds, each tick; where a page is served, the instances",
        ),
        right(
            Scaler,
            Everything,
            "autoscaling:DescribeScalingActivities",
            "who set the capacity, and which launches failed",
        ),
        right(
            Scaler,
            Everything,
            "ec2:DescribeInstances",
            "a few times an hour: have members behind which jobs wait ever been ready? For the page: why do those leave that do?",
        ),
        right(Scaler, Group, "autoscaling:SetDesiredCapacity", "raises"),
        right(Scaler, Group, "autoscaling:CreateOrUpdateTags", "writes how many instances are kept without demand"),
        right(
            Scaler,
            Parameter,
            "ssm:GetParameter",
            "asks the platform how many jobs wait; its settings, if they are there",
        ),
        right(Scaler, Secret, "secretsmanager:GetSecretValue", "asks the platform how many jobs wait"),
        right(Scaler, Key, "kms:Decrypt", "secrets with a key of your own"),
        right(Scaler, SettingsObject, "s3:GetObject", "settings that are too long for a function's variables"),
        right(Scaler, LogGroup, "logs:CreateLogStream", "as a function: Lambda writes its log with its role"),
        right(Scaler, LogGroup, "logs:PutLogEvents", "as a function: the same"),
        right(
            Operator,
            Everything,
            "autoscaling:DescribeAutoScalingGroups",
            "the members, their states and protection",
        ),
        right(Operator, Everything, "ec2:DescribeInstances", "their kind, age and tags"),
        right(Operator, Everything, "ssm:DescribeInstanceInformation", "which of them take commands"),
        right(Operator, Everything, "ssm:GetCommandInvocation", "what an agent answered"),
        right(
            Operator,
            Document,
            "ssm:SendCommand",
            "runs `lightsout-agent` or `journalctl`, as root: this is a shell on the instance",
        ),
        right(Operator, Members, "ssm:SendCommand", "the same"),
        right(Operator, Order, "ec2:CreateTags", "orders by the tag, where commands are not to be had"),
        right(Operator, Order, "ec2:DeleteTags", "takes such an order back"),
        right(Person, LogGroup, "logs:FilterLogEvents", "reads the records of an agent or a scaler"),
        right(
            Workstation,
            Everything,
            "autoscaling:DescribeAutoScalingGroups",
            "the group, as all its agents depend on it",
        ),
        right(Workstation, Everything, "autoscaling:DescribeLifecycleHooks", "what holds endings and launches off"),
        right(Workstation, Everything, "autoscaling:DescribePolicies", "does a policy change the capacity?"),
        right(Workstation, Everything, "autoscaling:DescribeScheduledActions", "does a schedule change the capacity?"),
        right(
            Workstation,
            Everything,
            "autoscaling:DescribeInstanceRefreshes",
            "does a refresh wait for protected instances?",
        ),
        right(Workstation, Everything, "autoscaling:DescribeScalingActivities", "did the last launch succeed?"),
        right(Workstation, Everything, "ec2:DescribeLaunchTemplateVersions", "what new instances start from"),
        right(
            Workstation,
            Everything,
            "autoscaling:DescribeLaunchConfigurations",
            "the same, of a group without a template",
        ),
        right(Workstation, Everything, "ec2:DescribeImages", "is the image there, and how old is it?"),
        right(Workstation, Everything, "ec2:DescribeInstanceTypeOfferings", "does each zone have each type?"),
        right(Workstation, Everything, "ec2:DescribeSubnets", "are there addresses left?"),
        right(Workstation, Everything, "ec2:DescribeInstanceTypes", "how many vCPUs may the group want?"),
        right(Workstation, Everything, "servicequotas:GetServiceQuota", "and does the account's quota let them run?"),
        right(Workstation, Everything, "ec2:DescribeSnapshots", "with which key is the image encrypted?"),
        right(
            Workstation,
            Everything,
            "ec2:GetEbsEncryptionByDefault",
            "are volumes encrypted of which nothing says so?",
        ),
        right(Workstation, Everything, "ec2:GetEbsDefaultKmsKeyId", "and with which key?"),
        right(Workstation, Roles, "kms:DescribeKey", "can these keys be used?"),
        right(Workstation, Roles, "kms:ListGrants", "and by Auto Scaling's own role?"),
        right(Workstation, Roles, "kms:GetKeyPolicy", "the same"),
        right(Workstation, Roles, "iam:GetInstanceProfile", "which role new instances get"),
        right(Workstation, Roles, "iam:GetRole", "is there the role with which Spot instances start?"),
        right(Workstation, Roles, "iam:SimulatePrincipalPolicy", "has the role the rights that it needs?"),
        right(
            Workstation,
            Roles,
            "iam:ListRolePolicies",
            "the same by the policies, where a simulation is not allowed",
        ),
        right(Workstation, Roles, "iam:GetRolePolicy", "the same"),
        right(Workstation, Roles, "iam:ListAttachedRolePolicies", "the same"),
        right(Workstation, Roles, "iam:GetPolicy", "the same"),
        right(Workstation, Roles, "iam:GetPolicyVersion", "the same"),
        right(Workstation, Roles, "lambda:GetFunctionConfiguration", "`--function`: its state, time-out and role"),
        right(Workstation, Roles, "scheduler:ListSchedules", "`--function`: what invokes it"),
        right(Workstation, Roles, "scheduler:GetSchedule", "`--function`: how often"),
        right(
            Workstation,
            LogGroup,
            "logs:FilterLogEvents",
            "`--function`: what failed in the last hour, and of which version it is",
        ),
        right(Workstation, Parameter, "ssm:GetParameter", "is the pool's secret there, and does the platform take it?"),
        right(Workstation, Secret, "secretsmanager:GetSecretValue", "the same"),
        right(Workstation, Key, "kms:Decrypt", "secrets with a key of your own"),
    ]
};
