#!/bin/bash
# hw1 @what@, as jobs of Slurm: a check on a node, an array of tasks, the report. Yours to edit.
#   bash @script@  submits them; again: what is missing, as a finished trial never runs again
#   hw1 show --out @out@  how far it is; what the jobs say is in @out@/slurm
# Written by hw1 @version@, @digest@

folder=@folder@  # paths are from here
hw1=@hw1@
study=(@study@)
out=@out@
tasks=@tasks@  # parts of the trials; none waits for another
at_once=@at_once@  # tasks at a time; empty: all that there is room for
cpus=@cpus@  # cores of a task
jobs=@jobs@  # trials at a time in a task; empty: one a core, on GPUs what hw1 chooses
gpus=@gpus@  # GPUs of a task; each does a part of its trials
minutes=@minutes@  # what a task has not done by then it goes on with in its next turn
notice=120  # seconds before that at which it is told to write checkpoints; at most a third of its time
memory=@memory@  # of a task; empty: what Slurm gives
clocks=60  # seconds that the clocks of nodes and of the file server may differ by
options=(@options@)  # of sbatch, as in (--partition=short --account=lab)

# A signal reaches a shell only between commands: hw1 runs in the background and gets it passed on.
children=() told_to=
pass() { told_to=$1; [[ ! ${children[*]} ]] || kill -"$1" "${children[@]}" 2>/dev/null; }
trap 'pass USR1' USR1
trap 'pass TERM' TERM
start() { "$@" & children+=("$!"); [[ ! $told_to ]] || kill -"$told_to" "$!"; }
finish() { # once all have ended: 138 where one has checkpoints to go on from, else what failed, else 0
    local child each worst=0
    for child in "${children[@]}"; do
        while kill -0 "$child" 2>/dev/null; do wait "$child"; done
        wait "$child"
        each=$?
        (( worst == 138 || each == 0 )) || worst=$each
        (( each != 138 )) || worst=138
    done
    children=()
    return "$worst"
}

script=$(realpath "${BASH_SOURCE[0]}")
cd "$folder" || exit
(( notice * 3 <= minutes * 60 )) || notice=$(( minutes * 20 ))
role=${1:-submit} id=$SLURM_JOB_ID
[[ $role != task ]] || id=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
told=$out/slurm/of-$id

submit() {
    mkdir -p "$out/slurm" || exit
    local log job on=() check array report
    log=$(realpath "$out/slurm") || exit
    log=${log//%/%%}
    job=(sbatch --parsable --chdir="$folder" --nodes=1 --ntasks=1 --cpus-per-task="$cpus" --open-mode=append
        --kill-on-invalid-dep=yes ${memory:+--mem="$memory"})
    (( gpus == 0 )) || job+=(--gres="gpu:$gpus")
    check=$("${job[@]}" --job-name=hw1-check --time=15 --output="$log/check-%j.log" "${options[@]}" "$script" check) || exit
    # Of several clusters all on the first one's.
    [[ $check != *\;* ]] || on=(--clusters="${check#*;}")
    check=${check%;*}
    job+=(--time="$minutes" --signal="B:USR1@$notice" --requeue)
    array=$("${job[@]}" --job-name=hw1-tasks --array="0-$(( tasks - 1 ))${at_once:+%$at_once}" --dependency="afterok:$check" \
        --output="$log/tasks-%A_%a.log" "${options[@]}" "${on[@]}" "$script" task) &&
    report=$("${job[@]}" --job-name=hw1-report --dependency="afterok:$check,afterany:${array%;*}" \
        --output="$log/report-%j.log" "${options[@]}" "${on[@]}" "$script" report "${array%;*}") ||
        { local code=$?; scancel "${on[@]}" "$check" ${array:+"${array%;*}"}; exit "$code"; }
    echo "jobs $check (check), ${array%;*} ($tasks tasks), ${report%;*} (report); what they say: $out/slurm;" \
        "to stop them: scancel ${on[*]}${on:+ }$check ${array%;*} ${report%;*}"
}

# What a shard is told beside the study: part $3 of the GPUs.
settings() {
    with=(--out "$out" --shard "$1/$2")
    (( gpus == 0 )) || with+=(--device "cuda:$3")
    if [[ $jobs ]]; then with+=(--jobs "$jobs"); elif (( gpus == 0 )); then with+=(--jobs "$(cores)"); fi
}
cores() {
    local bound asked=${SLURM_CPUS_PER_TASK:-9999}
    bound=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc)
    echo $(( bound < asked ? bound : asked ))
}

# On a node, before all others: what would fail there fails here, in a line.
check() {
    local probe=$out/slurm/probe-$id said off part with
    fail() { # with the first line of what was said that names an error, else its last
        local line
        line=$(grep -m 1 'error' <<<"$2") || line=${2##*$'\n'}
        echo "hw1: no task is started: on $(hostname): $1${line#*error: }" >&2
        exit 1
    }
    said=$("$hw1" --version 2>&1) || fail "$hw1 does not run: " "$said"
    said=$( { : >"$probe"; } 2>&1 ) || fail "$out cannot be written: " "${said##*: }"
    off=$(( $(date +%s) - $(stat -c %Y "$probe") ))
    rm -f "$probe"
    (( off >= -clocks && off <= clocks )) || fail "the clock is $off s ahead of that of $out" ""
    for (( part = 0; part < (gpus > 0 ? gpus : 1); part++ )); do
        settings 0 1 "$part"
        said=$("$hw1" "${study[@]}" "${with[@]}" --preflight 2>&1) || fail "" "$said"
    done
}

# Shard $1 of $2, by one hw1 a GPU or one in all; a task whose time is up goes back into the queue.
work() {
    local parts=$(( gpus > 0 ? gpus : 1 )) part code=0 now best=-1 stuck=0 with
    rm -f "$told".*
    for (( part = 0; part < parts; part++ )); do
        settings "$(( $1 * parts + part ))" "$(( $2 * parts ))" "$part"
        start "$hw1" "${study[@]}" "${with[@]}" >"$told.$part" || code=1
    done
    finish || code=$?
    cat "$told".*
    if (( code == 138 )); then
        # Records before epochs.
        now=$(sed -n 's/^shard [^:]*: \(interrupted with \)\{0,1\}\([0-9]*\) of its [^,;]*\(, and \([0-9]*\) epochs\)\{0,1\}.*/\2 \4/p' \
            "$told".* | awk '{ records += $1; epochs += $2 } END { printf "%.0f", records * 1e12 + epochs }')
        [[ ! -e $told ]] || read -r best stuck <"$told"
        if (( now > best )); then best=$now stuck=0; else stuck=$(( stuck + 1 )); fi
        echo "$best $stuck" >"$told"
        if (( stuck < 3 )); then requeue; else
            echo "hw1: job $id was requeued three times without a new record or a later checkpoint, and stops;" \
                "give it more minutes or notice" >&2
        fi
        code=1 told_to=
    fi
    rm -f "$told" "$told".*
    return "$code"
}
requeue() {
    trap - USR1 TERM
    scontrol requeue "$id" && { sleep 60; exit 138; }
    echo "hw1: job $id could not be put back into the queue, and stops; submit again: bash $script" >&2
}

case $role in
    submit) submit ;;
    check) check ;;
    task) work "$SLURM_ARRAY_TASK_ID" "$tasks" ;;
    report) # what tasks have not done, unless somebody cancelled one, and the results
        code=0
        if [[ $(squeue -h -t CA -j "$2" -o %i 2>/dev/null) ]]; then
            echo "hw1: tasks were cancelled: the report is of what there is"
        else
            work 0 1 || code=$?
        fi
        start "$hw1" report --out "$out"
        finish || code=$?
        (( code != 138 )) || requeue
        exit "$code" ;;
    *) echo "bash $script [submit]" >&2; exit 2 ;;
esac
