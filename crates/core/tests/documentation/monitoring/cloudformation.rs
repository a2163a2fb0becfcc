//! The template's part: the same alarms and dashboard as resources of CloudFormation, and what counts the agents' departures in their log group.

use lightsout_core::metrics::{
    Id, METRICS,
    emf::{DIMENSION, NAMESPACE},
};

use super::{
    alarms::{ALARMS, Alarm},
    cloudwatch::{Names, variables, widgets},
    series,
};

/// Between these lines of the template.
const BEGIN: &str = "  # monitoring: written by the test `documentation` of lightsout-core; UPDATE_DOCS=1 renews it\n";
const END: &str = "  # /monitoring\n";

/// For `Fn::Sub`. The group has the stack's name, and the pool its group's.
const STACK: Names = Names {
    pool: "${AWS::StackName}",
    group: "${AWS::StackName}",
    region: "${AWS::Region}",
    scaler_log: "${ScalerLogGroup}",
    agents_log: "${InstanceLogGroup}",
};

/// The same where nearly every line has them.
const SHORT: Names = Names { pool: "${N}", group: "${N}", region: "${R}", ..STACK };

/// The template with its part as it should be.
pub(super) fn template(found: &str) -> String {
    let (before, rest) = found.split_once(BEGIN).expect("the part begins");
    let (_, after) = rest.split_once(END).expect("the part ends");
    let alarms: String = ALARMS.iter().map(alarm).collect();
    format!("{before}{BEGIN}{}{alarms}{}{END}{after}", departures(), dashboard())
}

fn departures() -> String {
    let metric = METRICS.iter().find(|metric| metric.id == Id::Departures).expect("departures are counted");
    series(metric)
        .map(|name| {
            let reason = name.rsplit('.').next().expect("a reason");
            let id: String = reason.split('-').map(capitalised).collect();
            format!(
                "\n  Departures{id}:\n    Type: AWS::Logs::MetricFilter\n    Condition: Monitored\n    Properties:\n\
                 \x20     LogGroupName: !Ref InstanceLogGroup\n\
                 \x20     FilterPattern: '{{ $.kind = \"departure\" && $.reason = \"{reason}\" }}'\n\
                 \x20     MetricTransformations:\n\
                 \x20     - {{MetricNamespace: {NAMESPACE}, MetricName: {name}, MetricValue: \"1\", Unit: Count, Dimensions: [{{Key: {DIMENSION}, Value: $.group}}]}}\n",
            )
        })
        .collect()
}

fn capitalised(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_uppercase() + rest
}

fn alarm(alarm: &Alarm) -> String {
    let (period, times) = alarm.period;
    let queries: String = alarm
        .metrics
        .iter()
        .map(|(id, name, stat)| {
            format!(
                "      - {{Id: {id}, ReturnData: false, MetricStat: {{Metric: {{Namespace: {NAMESPACE}, MetricName: {name}, Dimensions: [{{Name: {DIMENSION}, Value: !Ref Group}}]}}, Period: {period}, Stat: {stat}}}}}\n",
            )
        })
        .collect();
    format!(
        "\n  {name}:\n    Type: AWS::CloudWatch::Alarm\n    Condition: Monitored\n    Properties:\n\
         \x20     AlarmName: !Sub \"{name}-${{AWS::StackName}}\"\n\
         \x20     AlarmDescription: !Sub \"{says}\"\n\
         \x20     ComparisonOperator: GreaterThanOrEqualToThreshold\n      Threshold: 1\n\
         \x20     EvaluationPeriods: {times}\n      TreatMissingData: {silence}\n\
         \x20     AlarmActions: !If [HasAlarmTopic, [!Ref AlarmTopicArn], []]\n\
         \x20     OKActions: !If [HasAlarmTopic, [!Ref AlarmTopicArn], []]\n\
         \x20     Metrics:\n      - Id: bad\n        Label: {name}\n        Expression: \"{math}\"\n{queries}",
        name = alarm.name,
        says = STACK.description(alarm),
        silence = alarm.silence,
        math = alarm.math,
    )
}

/// One widget a line, and nothing that CloudWatch takes for granted or could be said in fewer letters: a template may have 51,200 bytes.
fn dashboard() -> String {
    let widgets = widgets(&SHORT).into_iter().map(|mut widget| {
        // A widget is six units high unless it says otherwise.
        if widget["height"] == 6 {
            widget.as_object_mut().expect("an object").remove("height");
        }
        format!("       {widget}")
    });
    format!(
        "\n  Dashboard:\n    Type: AWS::CloudWatch::Dashboard\n    Condition: Monitored\n    Properties:\n\
         \x20     DashboardName: !Sub \"lightsout-${{AWS::StackName}}\"\n      DashboardBody: !Sub\n      - |\n       {{\"variables\":{},\"widgets\":[\n{}\n       ]}}\n\
         \x20     - {{ N: !Ref AWS::StackName, R: !Ref AWS::Region }}\n",
        variables(),
        widgets.collect::<Vec<_>>().join(",\n"),
    )
}
