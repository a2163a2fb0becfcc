#!/usr/bin/env bash
# Drives the embedded cloud with the vendor's own command-line client, from template to termination, refusals included.
#
#   tests/wire/awscli.sh [FOLDER]     with `examples/serve` in it; default: target/debug
#
# The client is that of ${LIGHTSOUT_VENV:-target/venv}; exits with 77 where it is not.
set -euo pipefail

cd "$(dirname "$0")/../.."
bin=$(realpath "${1:-target/debug}")
# shellcheck source=tests/common.sh
source tests/common.sh
aws=${LIGHTSOUT_VENV:-target/venv}/bin/aws
[[ -x $aws ]] || cannot "the AWS CLI is not installed: tests/run awscli installs it"
work=$(mktemp -d)
trap 'end_cloud; rm -rf "$work"' EXIT
start_cloud gitlab

export AWS_ENDPOINT_URL=$url AWS_REGION=eu-central-1 AWS_DEFAULT_REGION=eu-central-1
export AWS_ACCESS_KEY_ID=awscli AWS_SECRET_ACCESS_KEY=none AWS_MAX_ATTEMPTS=1 AWS_EC2_METADATA_DISABLED=true
export AWS_PAGER='' AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null
unset AWS_PROFILE AWS_SESSION_TOKEN
group=awscli-$$
checks=0

asg() { "$aws" autoscaling "$@"; }
ec2() { "$aws" ec2 "$@"; }

# equal WHAT WANTED COMMAND...: the command succeeds and prints this text.
equal() {
    local what=$1 wanted=$2 got
    shift 2
    got=$("$@") || fail "$what: the command failed: $*"
    [[ $got == "$wanted" ]] || fail "$what: wanted '$wanted', got '$got'"
    checks=$((checks + 1))
}

# refused CODE MESSAGE OPERATION COMMAND...: the command fails with exactly this error.
refused() {
    local code=$1 message=$2 operation=$3 got wanted
    shift 3
    if got=$("$@" 2>&1); then
        fail "wanted $code from $operation, but it succeeded: $got"
    fi
    wanted="An error occurred ($code) when calling the $operation operation: $message"
    # Newer clients put a prefix before the error, and how often they tried into it.
    got=${got/ (reached max retries: 0)/}
    [[ $got == *"$wanted" ]] || fail "wanted '$wanted', got '$got'"
    checks=$((checks + 1))
}

# until_equal WHAT WANTED COMMAND...: the command prints this text within 30 s.
until_equal() {
    local what=$1 wanted=$2 got='' n
    shift 2
    for ((n = 0; n < 30; n++)); do
        got=$("$@")
        if [[ $got == "$wanted" ]]; then
            checks=$((checks + 1))
            return
        fi
        sleep 0.5
    done
    fail "$what: wanted '$wanted', last got '$got'"
}

members() { asg describe-auto-scaling-groups --auto-scaling-group-names "$group" --query 'AutoScalingGroups[0].Instances[].LifecycleState' --output text; }
desired() { asg describe-auto-scaling-groups --auto-scaling-group-names "$group" --query 'AutoScalingGroups[0].DesiredCapacity' --output text; }
state() { asg describe-auto-scaling-instances --instance-ids "$1" --query 'AutoScalingInstances[].LifecycleState' --output text; }

echo "who am I"
equal 'the account' 123456789012 "$aws" sts get-caller-identity --query Account --output text

echo "roles, functions, schedules, subnets"
iam() { "$aws" iam "$@"; }
trust='{"Version": "2012-10-17", "Statement": []}' role=$group-role
iam create-role --role-name "$role" --assume-role-policy-document "$trust" >/dev/null
iam put-role-policy --role-name "$role" --policy-name own --policy-document '{"Statement": [
    {"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"}]}'
arn=$(iam create-policy --policy-name "$group" --policy-document '{"Statement": {"Effect": "Deny", "Action": "ec2:DescribeImages", "Resource": "*"}}' \
    --query Policy.Arn --output text)
iam attach-role-policy --role-name "$role" --policy-arn "$arn"
equal 'what is attached' "$arn" iam list-attached-role-policies --role-name "$role" --query 'AttachedPolicies[].PolicyArn' --output text
equal 'its own' own iam list-role-policies --role-name "$role" --query PolicyNames --output text
equal 'a policy of its own' 'ec2:Describe*' iam get-role-policy --role-name "$role" --policy-name own \
    --query 'PolicyDocument.Statement[0].Action' --output text
equal 'a policy that is shared' Deny iam get-policy-version --policy-arn "$arn" --version-id v1 \
    --query PolicyVersion.Document.Statement.Effect --output text
equal 'what it may' $'allowed\texplicitDeny\timplicitDeny' iam simulate-principal-policy --policy-source-arn "arn:aws:iam::123456789012:role/$role" \
    --action-names ec2:DescribeSubnets ec2:DescribeImages ec2:CreateTags --query 'EvaluationResults[].EvalDecision' --output text
iam create-instance-profile --instance-profile-name "$group" >/dev/null
iam add-role-to-instance-profile --instance-profile-name "$group" --role-name "$role"
equal 'the role of the profile' "$role" iam get-instance-profile --instance-profile-name "$group" --query 'InstanceProfile.Roles[].RoleName' --output text
refused NoSuchEntity 'Instance Profile none cannot be found.' GetInstanceProfile iam get-instance-profile --instance-profile-name none
# A package is wanted by the client; nothing reads it.
"$aws" lambda create-function --function-name "$group" --role "arn:aws:iam::123456789012:role/$role" --runtime provided.al2023 --handler bootstrap \
    --timeout 60 --code S3Bucket=packages,S3Key=scaler.zip >/dev/null
equal 'the function' $'60\tActive' "$aws" lambda get-function-configuration --function-name "$group" --query '[Timeout,State]' --output text
refused ResourceNotFoundException 'Function not found: arn:aws:lambda:eu-central-1:123456789012:function:none' GetFunctionConfiguration \
    "$aws" lambda get-function-configuration --function-name none
"$aws" scheduler create-schedule --name "$group" --schedule-expression 'rate(1 minute)' --flexible-time-window Mode=OFF \
    --target "Arn=arn:aws:lambda:eu-central-1:123456789012:function:$group,RoleArn=arn:aws:iam::123456789012:role/$role" >/dev/null
equal 'the schedules' "$group" "$aws" scheduler list-schedules --query 'Schedules[].Name' --output text
equal 'the schedule' $'rate(1 minute)\tENABLED' "$aws" scheduler get-schedule --name "$group" --query '[ScheduleExpression,State]' --output text
"$aws" scheduler delete-schedule --name "$group"
"$aws" lambda delete-function --function-name "$group"
equal 'a quota' 5120.0 "$aws" service-quotas get-service-quota --service-code ec2 --quota-code L-1216C47A --query Quota.Value --output text
refused NoSuchResourceException 'The request failed because the specified service does not exist.' GetServiceQuota \
    "$aws" service-quotas get-service-quota --service-code ec2 --quota-code L-00000000
key=$("$aws" kms create-key --query KeyMetadata.Arn --output text)
equal 'a key' $'CUSTOMER\tEnabled' "$aws" kms describe-key --key-id "$key" --query 'KeyMetadata.[KeyManager,KeyState]' --output text
equal "AWS's own key" AWS "$aws" kms describe-key --key-id alias/aws/ebs --query KeyMetadata.KeyManager --output text
"$aws" kms create-grant --key-id "$key" --grantee-principal "arn:aws:iam::123456789012:role/$role" --operations Decrypt >/dev/null
equal 'what is granted' Decrypt "$aws" kms list-grants --key-id "$key" --grantee-principal "arn:aws:iam::123456789012:role/$role" \
    --query 'Grants[].Operations[]' --output text
equal 'nothing to others' '' "$aws" kms list-grants --key-id "$key" --grantee-principal arn:aws:iam::123456789012:role/none --query 'Grants[]' --output text
equal "a key's policy" default "$aws" kms get-key-policy --key-id "$key" --policy-name default --query PolicyName --output text
refused NotFoundException "Key 'arn:aws:kms:eu-central-1:123456789012:key/none' does not exist" DescribeKey "$aws" kms describe-key --key-id none
equal 'volumes are not encrypted by themselves' False ec2 get-ebs-encryption-by-default --query EbsEncryptionByDefault --output text
equal 'with a key of the account' "$key" ec2 modify-ebs-default-kms-key-id --kms-key-id "$key" --query KmsKeyId --output text
equal 'or with that of AWS' alias/aws/ebs ec2 reset-ebs-default-kms-key-id --query KmsKeyId --output text
"$aws" secretsmanager create-secret --name "$group" --secret-string s3cret >/dev/null
equal 'a secret' s3cret "$aws" secretsmanager get-secret-value --secret-id "$group" --query SecretString --output text
refused ResourceExistsException "The operation failed because the secret $group already exists." CreateSecret \
    "$aws" secretsmanager create-secret --name "$group" --secret-string s3cret
"$aws" ssm put-parameter --type SecureString --name "/$group" --value s3cret >/dev/null
equal 'a parameter' s3cret "$aws" ssm get-parameter --with-decryption --name "/$group" --query Parameter.Value --output text
equal 'how many groups there may be' 500 asg describe-account-limits --query MaxNumberOfAutoScalingGroups --output text
equal 'the sizes of types' $'c7i.large\t2' ec2 describe-instance-types --instance-types c7i.large --query 'InstanceTypes[].[InstanceType,VCpuInfo.DefaultVCpus]' --output text
equal 'a default subnet' $'eu-central-1a\tTrue' ec2 describe-subnets --filters Name=default-for-az,Values=true Name=availability-zone,Values=eu-central-1a \
    --query 'Subnets[0].[AvailabilityZone,DefaultForAz]' --output text

echo "launch template and group"
ec2 create-launch-template --launch-template-name "$group" --launch-template-data '{
    "ImageId": "ami-0123456789abcdef0", "InstanceType": "m7i.large", "InstanceInitiatedShutdownBehavior": "terminate",
    "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1, "InstanceMetadataTags": "enabled"},
    "UserData": "IyFoZWxsbw=="}' >/dev/null
equal 'the template' m7i.large ec2 describe-launch-template-versions --launch-template-name "$group" \
    --query 'LaunchTemplateVersions[0].LaunchTemplateData.InstanceType' --output text
ec2 create-launch-template --launch-template-name "$group-key" --launch-template-data \
    '{"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": true, "KmsKeyId": "'"$key"'"}}]}' >/dev/null
equal "its volume's key" $'/dev/xvda\tTrue\t'"$key" ec2 describe-launch-template-versions --launch-template-name "$group-key" --output text \
    --query 'LaunchTemplateVersions[0].LaunchTemplateData.BlockDeviceMappings[0].[DeviceName,Ebs.Encrypted,Ebs.KmsKeyId]'
asg create-auto-scaling-group --auto-scaling-group-name "$group" --launch-template "LaunchTemplateName=$group,Version=\$Latest" \
    --min-size 0 --max-size 2 --desired-capacity 0 --availability-zones eu-central-1a --new-instances-protected-from-scale-in \
    --tags "Key=ci-fleet,Value=$group,PropagateAtLaunch=true"
asg put-lifecycle-hook --auto-scaling-group-name "$group" --lifecycle-hook-name drain \
    --lifecycle-transition autoscaling:EC2_INSTANCE_TERMINATING --heartbeat-timeout 600 --default-result CONTINUE
equal 'the hook' $'drain\t600\t60000\tCONTINUE' asg describe-lifecycle-hooks --auto-scaling-group-name "$group" \
    --query 'LifecycleHooks[0].[LifecycleHookName,HeartbeatTimeout,GlobalTimeout,DefaultResult]' --output text
equal 'the group' $'0\t2\t0\tTrue' asg describe-auto-scaling-groups --auto-scaling-group-names "$group" \
    --query 'AutoScalingGroups[0].[MinSize,MaxSize,DesiredCapacity,NewInstancesProtectedFromScaleIn]' --output text
topic=arn:aws:sns:eu-central-1:123456789012:fleet
asg put-notification-configuration --auto-scaling-group-name "$group" --topic-arn "$topic" --notification-types autoscaling:EC2_INSTANCE_LAUNCH
equal 'whom it tells' "$topic" asg describe-notification-configurations --auto-scaling-group-names "$group" \
    --query 'NotificationConfigurations[].TopicARN' --output text
asg delete-notification-configuration --auto-scaling-group-name "$group" --topic-arn "$topic"
equal 'whom it tells no more' '[]' asg describe-notification-configurations --query NotificationConfigurations --output json
equal 'a group that is not there' '[]' asg describe-auto-scaling-groups --auto-scaling-group-names none-such \
    --query AutoScalingGroups --output json

echo "scale out"
refused ValidationError 'New SetDesiredCapacity value 3 is above max value 2 for the AutoScalingGroup.' SetDesiredCapacity \
    asg set-desired-capacity --auto-scaling-group-name "$group" --desired-capacity 3
asg set-desired-capacity --auto-scaling-group-name "$group" --desired-capacity 2
until_equal 'two in service' $'InService\tInService' members
read -r first second < <(asg describe-auto-scaling-groups --auto-scaling-group-names "$group" \
    --query 'AutoScalingGroups[0].Instances[].InstanceId' --output text)
equal 'born protected' 'True' asg describe-auto-scaling-instances --instance-ids "$first" \
    --query 'AutoScalingInstances[0].ProtectedFromScaleIn' --output text
equal 'running' 'running' ec2 describe-instances --instance-ids "$first" \
    --query 'Reservations[0].Instances[0].State.Name' --output text
equal 'its state' running ec2 describe-instance-status --instance-ids "$first" --query 'InstanceStatuses[].InstanceState.Name' --output text
equal 'what a power-off does' terminate ec2 describe-instance-attribute --instance-id "$first" --attribute instanceInitiatedShutdownBehavior \
    --query InstanceInitiatedShutdownBehavior.Value --output text
equal 'the tag of its group' "$group" ec2 describe-instances --instance-ids "$first" \
    --query "Reservations[0].Instances[0].Tags[?Key=='aws:autoscaling:groupName'].Value" --output text

echo "protection"
asg set-instance-protection --auto-scaling-group-name "$group" --instance-ids "$first" --no-protected-from-scale-in
equal 'no longer protected' 'False' asg describe-auto-scaling-instances --instance-ids "$first" \
    --query 'AutoScalingInstances[0].ProtectedFromScaleIn' --output text
asg set-instance-protection --auto-scaling-group-name "$group" --instance-ids "$first" --protected-from-scale-in

echo "commands and orders"
equal 'takes commands' "$first"$'\tOnline' "$aws" ssm describe-instance-information --filters "Key=InstanceIds,Values=$first" \
    --query 'InstanceInformationList[].[InstanceId,PingStatus]' --output text
command=$("$aws" ssm send-command --document-name AWS-RunShellScript --instance-ids "$first" --parameters commands=true \
    --query Command.CommandId --output text)
# The machines of this cloud run nothing, and say so.
until_equal 'the end of the command' $'Failed\tnothing on this machine runs commands' "$aws" ssm get-command-invocation \
    --command-id "$command" --instance-id "$first" --query '[Status,StandardErrorContent]' --output text
refused InvocationDoesNotExist '' GetCommandInvocation \
    "$aws" ssm get-command-invocation --command-id "$command" --instance-id "$second"
refused InvalidInstanceId 'Instances [[i-0000000000000dead]] not in a valid state for account' SendCommand \
    "$aws" ssm send-command --document-name AWS-RunShellScript --instance-ids i-0000000000000dead --parameters commands=true
ec2 create-tags --resources "$first" --tags Key=lightsout:order,Value=drain
equal 'the order' drain ec2 describe-tags --filters "Name=resource-id,Values=$first" Name=key,Values=lightsout:order \
    --query 'Tags[].Value' --output text
ec2 delete-tags --resources "$first" --tags Key=lightsout:order
equal 'no order' '' ec2 describe-tags --filters "Name=resource-id,Values=$first" Name=key,Values=lightsout:order \
    --query 'Tags[].Value' --output text

echo "terminate with decrement, through the hook"
refused ValidationError 'Instance Id not found - No managed instance found for instance ID i-0000000000000dead' \
    TerminateInstanceInAutoScalingGroup \
    asg terminate-instance-in-auto-scaling-group --instance-id i-0000000000000dead --should-decrement-desired-capacity
refused ValidationError "No active Lifecycle Action found with instance ID $first" CompleteLifecycleAction \
    asg complete-lifecycle-action --auto-scaling-group-name "$group" --lifecycle-hook-name drain \
    --lifecycle-action-result CONTINUE --instance-id "$first"
equal 'accepted' InProgress asg terminate-instance-in-auto-scaling-group --instance-id "$first" \
    --should-decrement-desired-capacity --query Activity.StatusCode --output text
equal 'decremented' 1 desired
until_equal 'waits at the hook' 'Terminating:Wait' state "$first"
refused ValidationError "The instance $first is not in InService or EnteringStandby or Standby." SetInstanceProtection \
    asg set-instance-protection --auto-scaling-group-name "$group" --instance-ids "$first" --protected-from-scale-in
asg record-lifecycle-action-heartbeat --auto-scaling-group-name "$group" --lifecycle-hook-name drain --instance-id "$first"
asg complete-lifecycle-action --auto-scaling-group-name "$group" --lifecycle-hook-name drain \
    --lifecycle-action-result CONTINUE --instance-id "$first"
until_equal 'gone' '' state "$first"
until_equal 'terminated' terminated ec2 describe-instances --instance-ids "$first" \
    --query 'Reservations[0].Instances[0].State.Name' --output text

echo "the floor"
asg update-auto-scaling-group --auto-scaling-group-name "$group" --min-size 1
refused ValidationError "Currently, desiredSize equals minSize (1). Terminating instance without replacement will violate \
group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size." \
    TerminateInstanceInAutoScalingGroup \
    asg terminate-instance-in-auto-scaling-group --instance-id "$second" --should-decrement-desired-capacity
equal 'still in service' InService state "$second"

echo "scheduled actions, refreshes, metrics"
action=(--auto-scaling-group-name "$group" --scheduled-action-name mornings)
asg put-scheduled-update-group-action "${action[@]}" --recurrence '0 6 * * MON-FRI' --min-size 1 --max-size 2
equal 'the action' $'mornings\t0 6 * * MON-FRI\t1\t2' asg describe-scheduled-actions --auto-scaling-group-name "$group" \
    --query 'ScheduledUpdateGroupActions[0].[ScheduledActionName,Recurrence,MinSize,MaxSize]' --output text
refused ValidationError 'Given start time is in the past' PutScheduledUpdateGroupAction \
    asg put-scheduled-update-group-action "${action[@]}" --start-time 2020-01-01T00:00:00Z --min-size 1
asg delete-scheduled-action "${action[@]}"
equal 'no action' '[]' asg describe-scheduled-actions --query ScheduledUpdateGroupActions --output json
asg put-scheduled-update-group-action "${action[@]}" --start-time "$(date --utc --date '+10 seconds' +%FT%TZ)" --max-size 3
until_equal 'its time has come' 3 asg describe-auto-scaling-groups --auto-scaling-group-names "$group" \
    --query 'AutoScalingGroups[0].MaxSize' --output text
refused ActiveInstanceRefreshNotFound "No in progress or pending Instance Refresh found for Auto Scaling group $group" \
    RollbackInstanceRefresh asg rollback-instance-refresh --auto-scaling-group-name "$group"
asg enable-metrics-collection --auto-scaling-group-name "$group" --granularity 1Minute --metrics GroupTotalInstances
equal 'the metrics' GroupTotalInstances asg describe-auto-scaling-groups --auto-scaling-group-names "$group" \
    --query 'AutoScalingGroups[0].EnabledMetrics[].Metric' --output text
asg disable-metrics-collection --auto-scaling-group-name "$group"

echo "history, secrets"
equal 'the newest finished termination' Successful asg describe-scaling-activities --auto-scaling-group-name "$group" \
    --query "Activities[?starts_with(Description, 'Terminating')] | [0].StatusCode" --output text
equal 'a parameter' glpat-lightsout-local "$aws" ssm get-parameter --name /ci/gitlab-token --with-decryption \
    --query Parameter.Value --output text
equal 'a secret' glpat-lightsout-local "$aws" secretsmanager get-secret-value --secret-id /ci/gitlab-token \
    --query SecretString --output text
refused ParameterNotFound '' GetParameter "$aws" ssm get-parameter --name /none
refused ResourceNotFoundException "Secrets Manager can't find the specified secret." GetSecretValue \
    "$aws" secretsmanager get-secret-value --secret-id none

echo "logs and objects"
logs() { "$aws" logs "$@" --log-group-name "$log_group"; }
log_group=/lightsout/records stream=i-$$ now=$(($(date +%s) * 1000))
record='{"schema":1,"kind":"incident"}'
event() { python3 -c 'import json, sys; print(json.dumps([{"timestamp": int(sys.argv[1]), "message": sys.argv[2]}]))' "$1" "$record"; }
refused ResourceNotFoundException 'The specified log stream does not exist.' PutLogEvents \
    logs put-log-events --log-stream-name "$stream" --log-events "$(event "$now")"
logs create-log-stream --log-stream-name "$stream"
refused ResourceAlreadyExistsException 'The specified log stream already exists' CreateLogStream logs create-log-stream --log-stream-name "$stream"
logs put-log-events --log-stream-name "$stream" --log-events "$(event "$now")" >/dev/null
equal 'an event that is too old' 1 logs put-log-events --log-stream-name "$stream" --log-events "$(event 1)" \
    --query rejectedLogEventsInfo.tooOldLogEventEndIndex --output text
equal 'the event' "$record" logs get-log-events --log-stream-name "$stream" --query 'events[].message' --output text
equal 'the event by its stream' "$record" logs filter-log-events --log-stream-names "$stream" --start-time "$now" \
    --query 'events[].message' --output text
equal 'nothing later' '[]' logs filter-log-events --log-stream-names "$stream" --start-time $((now + 1)) --query events --output json
log_group=/none
refused ResourceNotFoundException 'The specified log group does not exist.' CreateLogStream logs create-log-stream --log-stream-name "$stream"
object=$(mktemp) back=$(mktemp)
echo "$record" >"$object"
"$aws" s3api put-object --bucket lightsout-records --key "ci fleet/$stream/a.json" --body "$object" >/dev/null
equal 'the object in the list' "ci fleet/$stream/a.json" "$aws" s3api list-objects-v2 --bucket lightsout-records --prefix "ci fleet/$stream/" \
    --query 'Contents[].Key' --output text
"$aws" s3api get-object --bucket lightsout-records --key "ci fleet/$stream/a.json" "$back" >/dev/null
equal 'the object' "$record" cat "$back"
rm "$object" "$back"
refused NoSuchBucket 'The specified bucket does not exist' PutObject "$aws" s3api put-object --bucket none-of-ours --key a --body "$0"

echo "faults"
fault() { curl --silent --show-error --fail --output /dev/null -H 'content-type: application/json' "$url/_lightsout/faults" "$@"; }
fault --data '{"target": "aws", "action": "DescribeAutoScalingGroups", "effect": "throttle"}'
refused Throttling 'Rate exceeded' DescribeAutoScalingGroups asg describe-auto-scaling-groups
fault --data '{"target": "aws", "action": "DescribeInstances", "effect": "throttle"}'
refused RequestLimitExceeded 'Request limit exceeded.' DescribeInstances ec2 describe-instances
fault -X DELETE
equal 'no more throttling' 1 desired

echo "clean up"
asg delete-auto-scaling-group --auto-scaling-group-name "$group" --force-delete
until_equal 'no group' '[]' asg describe-auto-scaling-groups --auto-scaling-group-names "$group" --query AutoScalingGroups --output json
ec2 delete-launch-template --launch-template-name "$group" >/dev/null
echo "ok: $checks checks"
