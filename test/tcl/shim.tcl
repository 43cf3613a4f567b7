# Loaded by run.py into each client process of Redis's test suite, after the suite's own procedures.
#
# The suite gives up on a whole block (or file) at the first command that raises outside a test, and a failed test
# may leave its connection inside a transaction or its server dead. All tests after that would be "not reached",
# and a single missing feature would hide fifty results. So here blocks run command by command: a command that
# raises is reported and the next one runs, on a fresh connection, on a restarted server if need be.
# Inside a test nothing changes: there an error is the test's result.

proc weft_report {what} {
    send_data_packet $::test_server_fd err "(outside tests) $what"
}

# A usable default client again, after something went wrong: the same one if it still answers in step (tests hold
# on to its handle and its protocol version), else a new one, on a restarted server if need be.
proc weft_recover {resp} {
    if {[llength $::servers] == 0} return
    set server [lindex $::servers end]
    if {![dict exists $server client]} return
    if {![is_alive [dict get $server pid]]} {
        weft_report "the server died; starting it again"
        catch {restart_server 0 true false}
        return
    }
    set client [dict get $server client]
    set token "in step [incr ::weft_tokens]"
    if {![catch {$client echo $token} reply]} {
        if {$reply eq $token} {
            if {$::weft_resp ne $resp} {catch {r hello $resp}}
            return
        }
        if {$reply eq "QUEUED" && ![catch {$client discard}]} return
    } elseif {[string match "*ERR *" $reply] || [string match "NOAUTH*" $reply]} {
        return
    }
    catch {reconnect}
    set ::weft_resp 2
}

# Which protocol the default client speaks, so that an aborted test or block does not leave the other one behind.
set ::weft_resp 2
rename r weft_suite_r
proc r {args} {
    if {[string equal -nocase [lindex $args 0] hello] && [llength $args] > 1} {set ::weft_resp [lindex $args 1]}
    uplevel 1 [list weft_suite_r {*}$args]
}

# Evaluates the commands of a script one after the other in the caller's frame.
proc weft_steps {script} {
    set command ""
    foreach line [split $script "\n"] {
        append command $line "\n"
        if {![info complete $command]} continue
        set word [string trim $command]
        # A backslash at the end goes on in the next line; a comment is no command.
        if {[string index $word end] eq "\\"} continue
        set step $command
        set command ""
        if {$word eq "" || [string index $word 0] eq "#"} continue
        set code [catch {uplevel 1 $step} result options]
        if {$code == 1} {
            weft_report "$result\n[dict get $options -errorinfo]"
            weft_recover 2
        } elseif {$code != 0} {
            return -code $code $result
        }
    }
    if {[string trim $command] ne ""} { uplevel 1 $command }
}

rename start_server weft_suite_start_server
proc start_server {options {code undefined}} {
    if {$code eq "undefined" || $::cur_test ne ""} {
        return [uplevel 1 [list weft_suite_start_server $options $code]]
    }
    uplevel 1 [list weft_suite_start_server $options [list weft_steps $code]]
}

# A server that refuses its configuration is gone at once; the suite would look for its log line for two minutes.
rename wait_server_started weft_suite_wait_server_started
proc wait_server_started {config_file stdout pid} {
    while {1} {
        set ended [expr {![process_is_alive $pid]}]
        set log [exec cat $stdout]
        if {[regexp {Server initialized|Failed listening on port} $log]} break
        if {$ended} { return 0 }
        after 50
    }
    return [weft_suite_wait_server_started $config_file $stdout $pid]
}

rename tags weft_suite_tags
proc tags {tags code} {
    if {$::cur_test ne ""} { return [uplevel 1 [list weft_suite_tags $tags $code]] }
    uplevel 1 [list weft_suite_tags $tags [list weft_steps $code]]
}

rename test weft_suite_test
proc test {args} {
    set failed $::num_failed
    set resp $::weft_resp
    set code [catch {uplevel 1 [list weft_suite_test {*}$args]} result options]
    # Not inside another test: that one's connection is its own business.
    if {$::num_failed > $failed && $::cur_test eq ""} {weft_recover $resp}
    return -options $options $result
}

proc execute_test_file {unit} {
    set path "tests/$unit.tcl"
    set ::curfile $path
    set file [open $path]
    set script [read $file]
    close $file
    uplevel #0 [list weft_steps $script]
    send_data_packet $::test_server_fd done $unit
}
