#!/bin/sh
# Before anything else, at each start until the dead-man's switch is there: a machine that cannot make itself, and whose boot.py cannot say so, is
# switched off at the latest after this. Its shutdown behaviour is `terminate`. The timer waits for no other unit, since the system's start may hang, too.
systemctl is-enabled --quiet lightsout-dead-man.timer 2>/dev/null || systemd-run --quiet --unit=lightsout-boot-deadline --on-active=45m \
    --timer-property=AccuracySec=1s --timer-property=DefaultDependencies=no --timer-property=IgnoreOnIsolate=yes --property=DefaultDependencies=no \
    systemctl poweroff --force --force
