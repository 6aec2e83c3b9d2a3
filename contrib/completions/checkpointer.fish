# SPDX-License-Identifier: GPL-2.0-or-later
#
# checkpointer.fish - completion for fish: commands, options, chains and keys

function __checkpointer_chains
    checkpointer list --json 2>/dev/null | string replace -rf '^ *"chain": "(.*)",?$' '$1'
end

function __checkpointer_keys
    set -l section
    for line in (checkpointer config 2>/dev/null)
        if set -l found (string match -rg '^\[(.*)\]$' -- $line)
            set section $found
        else if set -l found (string match -rg '^([a-z_]+) = ' -- $line)
            echo $section.$found=
        end
    end
end

# The first word that is neither an option nor the value of one.
function __checkpointer_command
    argparse -i -s t/= m/= i/= c/= d/= s/= time-limit= margin= interval= chain= \
        dir= isolation= set= v/verbose q/quiet -- (commandline -opc)[2..] 2>/dev/null
    or return 1
    contains -- -- (commandline -opc)
    and test "$argv[1]" != check
    and return 1
    echo $argv[1]
end

function __checkpointer_is
    contains -- "$(__checkpointer_command)" $argv
    and not contains -- -- (commandline -opc)
end

# The command line of another program: what is behind "--".
function __checkpointer_other
    set -l words (commandline -opc)
    set -l at (contains -i -- -- $words)
    or return 1
    complete -C (string join ' ' -- (string escape -- $words[(math $at + 1)..]) (commandline -ct))
end

complete -c checkpointer -f
complete -c checkpointer -n 'contains -- -- (commandline -opc)' -a '(__checkpointer_other)'

set -l commands batch submit restore status dump report list verify export purge check config
set -l texts 'run a batch script, leg after leg' 'sbatch, with the options that such a job wants' \
    'continue a chain' 'what is going on now' \
    'ask for a checkpoint now' "a chain's legs" 'all chains, or the checkpoints of one' \
    'are its checkpoints whole?' 'a checkpoint as plain images of criu' 'remove old chains' \
    'do checkpoints work here?' 'the settings in effect'
for i in (seq (count $commands))
    complete -c checkpointer -n "__checkpointer_is ''" -a $commands[$i] -d $texts[$i]
end

set -l own "not __checkpointer_is submit; and not contains -- -- (commandline -opc)"
complete -c checkpointer -n $own -s t -l time-limit -x -d 'length of a leg, without Slurm'
complete -c checkpointer -n $own -s m -l margin -x -d 'how long before the end the last dump starts'
complete -c checkpointer -n $own -s i -l interval -x -a auto -d 'a checkpoint every so often'
complete -c checkpointer -n $own -s c -l chain -x -a '(__checkpointer_chains)' -d 'name of the chain'
complete -c checkpointer -n $own -s d -l dir -x -a '(__fish_complete_directories)' -d 'where checkpoints are kept'
complete -c checkpointer -n $own -l isolation -x -a 'auto user none' -d 'whether there is a capsule'
complete -c checkpointer -n $own -s s -l set -x -a '(__checkpointer_keys)' -d 'set a key'
complete -c checkpointer -n $own -s v -l verbose -d 'tell more'
complete -c checkpointer -n $own -s q -l quiet -d 'tell only what went wrong'
complete -c checkpointer -n $own -s h -l help -d 'print a summary'
complete -c checkpointer -n $own -s V -l version -d 'print the version'

complete -c checkpointer -n '__checkpointer_is verify export' -l step -x -d 'which step'
complete -c checkpointer -n '__checkpointer_is list check status report verify purge config' -l json -d 'for programs'
complete -c checkpointer -n '__checkpointer_is status' -l watch -d 'until the chain has ended'
complete -c checkpointer -n '__checkpointer_is dump' -l leave -d 'the leg ends with it'
complete -c checkpointer -n '__checkpointer_is dump' -l no-wait -d 'ask, and do not wait'
complete -c checkpointer -n '__checkpointer_is report' -l timeline -d 'with a timeline'
complete -c checkpointer -n '__checkpointer_is report' -l html -d 'as a page'
complete -c checkpointer -n '__checkpointer_is purge' -l older-than -x -d 'only chains without a change for so long'
complete -c checkpointer -n '__checkpointer_is purge' -l state -x -d 'only chains in these states' \
    -a 'finished stopped failed died resubmitted empty'
complete -c checkpointer -n '__checkpointer_is purge' -l dry-run -d 'remove nothing'
complete -c checkpointer -n '__checkpointer_is check' -l for -x -d 'how long the command runs'
complete -c checkpointer -n '__checkpointer_is check' -l prove -d 'dump and restore the command'

complete -c checkpointer -n '__checkpointer_is restore status dump report list verify export purge' \
    -a '(__checkpointer_chains)'
complete -c checkpointer -n '__checkpointer_is batch submit export' -F
