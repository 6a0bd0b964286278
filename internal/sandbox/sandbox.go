// Package sandbox runs one command in a throw-away machine that it cannot get
// out of, and hands back the files that it was asked to make.
//
// Start with [Job] and an [Engine]: [Embedded] needs nothing but Linux, and
// [GVisor] needs runsc. A program that uses an engine calls [Enter] as the very
// first thing in main (and a test in TestMain): the engines start the own
// binary again inside the sandbox.
//
// Promises. The command sees the files of the job and nothing else of the
// machine, owned by the job's user, and has no network, no devices and no
// privileges. Its memory, processes, disk, time, log and outputs are bounded.
// When Run returns, every process of it is gone, and only then are outputs
// read. Where one of the walls cannot be put up, Run refuses: nothing runs
// without them. docs/spec/sandbox.md says what each wall is and how it is
// tested, and what the same job sees on every engine.
//
// Not promised: that the wall clock stands still. SOURCE_DATE_EPOCH and the
// times of all files that the job brings are the job's clock; the time of day
// is the machine's. Nor is the processor hidden: CPUID cannot be masked.
package sandbox

import (
	"context"
	"io"
	"io/fs"
	"time"

	"vitrine.example/digest"
)

// Job is all that the command sees, and what it may use. The same job gives
// the same outputs on every engine, as far as the command itself does not ask
// for the time, chance, or the processor.
type Job struct {
	// Root is the file system of the command: layers from the bottom up.
	Root []Layer
	// Inputs are single files, put above the layers.
	Inputs []Input
	// Argv is the command; Argv[0] is an absolute path in the sandbox.
	Argv []string
	// Env is the whole environment as KEY=VALUE, but for SOURCE_DATE_EPOCH, set
	// from Clock, and HOME, "/", where they are not given. Nothing is inherited,
	// and the command gets it sorted.
	Env []string
	// Dir is the working directory, absolute. It is made if it is missing.
	Dir string
	// Clock is the fixed clock of the job: SOURCE_DATE_EPOCH, and the time of
	// inputs and of directories that are made for them. Whole seconds.
	Clock time.Time
	// Hostname is the name of the machine as the command sees it.
	Hostname string
	// UID and GID are the user of the command and the owner of every file. There
	// is no second user in the sandbox.
	UID, GID int
	// CPUs is how many processors the command may use and sees.
	CPUs int
	// Limits bound the command; see [DefaultLimits].
	Limits Limits
	// Outputs are absolute paths in the sandbox: files, or directories with all
	// below them. Each must be there when the command has ended with exit status 0.
	Outputs []string
}

// Layer is a part of the root file system. Exactly one of Tar and Dir is set.
type Layer struct {
	// Tar is an uncompressed tar file on the host. Owners in it are ignored.
	// Entries .wh.NAME and .wh..wh..opq are not understood: a layer only adds.
	Tar string
	// Dir is a directory on the host, shown read-only and changed only in the
	// sandbox's own memory, or below At not at all. It must be readable by everyone
	// where the engine runs as root. Files of the engine's own user are the job's
	// inside, others are nobody's and can be neither changed nor written beside.
	// The order of entries is the host's too: "same job, same output" is promised
	// for Tar layers only.
	Dir string
	// At is the absolute path in the sandbox under which the layer lies; "" is "/".
	At string
}

// Input is a file of the host that is copied into the sandbox before the start.
type Input struct {
	// At is the absolute path in the sandbox.
	At string
	// File is the path on the host. Only its bytes matter.
	File string
	// Executable gives mode 0555 instead of 0444.
	Executable bool
}

// Limits bound a job. Zero in a field is refused: there is no unlimited.
type Limits struct {
	Memory      int64         // bytes of all processes together, without files on the sandbox's disk
	Processes   int           // processes and threads at one time
	Disk        int64         // bytes that the command may write (the sandbox's disk lies in memory)
	Inodes      int64         // files and directories that the command may make
	Root        int64         // bytes that tar layers and inputs may take, unpacked
	Time        time.Duration // from start to end
	CPUTime     time.Duration // of any one process
	LogBytes    int64         // stdout and stderr together
	OutputBytes int64         // all outputs together, as their sizes say (holes count)
	OutputFiles int           // outputs with all below them
	OpenFiles   int           // descriptors of one process
}

// DefaultLimits are right for the build of a mid-sized program.
func DefaultLimits() Limits {
	return Limits{
		Memory: 4 << 30, Processes: 4096, Disk: 8 << 30, Inodes: 1 << 20, Root: 8 << 30,
		Time: time.Hour, CPUTime: 4 * time.Hour, LogBytes: 64 << 20,
		OutputBytes: 2 << 30, OutputFiles: 100_000, OpenFiles: 65_536,
	}
}

// Engine is a way to run jobs.
type Engine interface {
	// Name is how results name the engine: "embedded", "gvisor".
	Name() string
	// Check says why jobs cannot run here, and what to do; nil if they can.
	Check(ctx context.Context) error
	// Run runs the job, copies its stdout and stderr to log as they come, and
	// writes its outputs below outDir, an existing directory, under their paths in
	// the sandbox. The error is non-nil if the job could not be run, or its limits
	// or outputs are malformed; a command that ran and failed, or was ended, is a
	// Result. When ctx ends, the job is killed and the Reason is [Cancelled].
	Run(ctx context.Context, job *Job, log io.Writer, outDir string) (Result, error)
}

// Reason says why a command ended.
type Reason string

// The reasons. Everything but Exited with status 0 is a failure.
const (
	Exited    Reason = "exited"    // by itself, see Exit
	Signalled Reason = "signalled" // by a signal that was not ours: see Exit, 128 + signal
	Timeout   Reason = "time"      // over Limits.Time or CPUTime
	Memory    Reason = "memory"    // over Limits.Memory
	Disk      Reason = "disk"      // failed with the disk full, or without inodes
	Log       Reason = "log"       // over Limits.LogBytes
	Outputs   Reason = "outputs"   // an output is missing, too large, of a kind that is refused
	Cancelled Reason = "cancelled" // the caller's context ended
	Killed    Reason = "killed"    // killed from outside, by nobody we know
)

// Result is how a job ended.
type Result struct {
	Engine  string
	Exit    int    // exit status; 128 + n for signal n
	Reason  Reason // why it ended
	Detail  string // one line for people, where Reason is not the whole story
	Outputs []Output
	Usage   Usage
}

// OK reports whether the command succeeded and every output is there.
func (r Result) OK() bool { return r.Reason == Exited && r.Exit == 0 }

// Output is one file, directory or symbolic link that the job made.
type Output struct {
	Path   string      // in the sandbox; below outDir on the host
	Mode   fs.FileMode // type and all permission bits, set-uid too; the copy on the host has 0644
	Size   int64       // of a file
	SHA256 digest.Digest
	Link   string // target of a symbolic link; links are recorded and never made on the host
}

// Usage is what the job took.
type Usage struct {
	Wall   time.Duration // from the start of the command to its end
	CPU    time.Duration // user and system, of all processes; 0 where unknown, as with gvisor or an end by force
	Memory int64         // most bytes seen at one time, of all processes
	Disk   int64         // bytes on the sandbox's disk at the end
}
