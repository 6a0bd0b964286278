//go:build linux

package sandbox_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"vitrine.example/internal/sandbox"
)

// left lists processes of the host that run the hostile program of a job: the
// host name tells the job.
func left(t *testing.T, job *sandbox.Job) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		b, err := os.ReadFile("/proc/" + e.Name() + "/environ")
		if err == nil && strings.Contains(string(b), "JOB="+job.Hostname+"\x00") {
			found = append(found, e.Name())
		}
	}
	return found
}

// marked gives the job's processes a mark by which left finds them.
func marked(t *testing.T, job *sandbox.Job) *sandbox.Job {
	job.Hostname = "job-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	job.Env = append(job.Env, "JOB="+job.Hostname)
	return job
}

func nobodyLeft(t *testing.T, job *sandbox.Job) {
	t.Helper()
	if pids := left(t, job); len(pids) > 0 {
		t.Errorf("processes %v are left", pids)
	}
}

func ended(t *testing.T, o outcome, want sandbox.Reason) {
	t.Helper()
	if o.Reason != want || o.OK() || o.Detail == "" {
		t.Errorf("ended with %+v, want reason %s\nlog: %.500s", o.Result, want, o.log)
	}
}

func TestForkBomb(t *testing.T) {
	each(t, func(t *testing.T, e engine) {
		job := marked(t, attack(t, "fork-bomb"))
		o := e.must(t, job)
		nothingGot(t, o)
		n, _ := strconv.Atoi(fact(t, o, "forked"))
		if n < 4 || n > job.Limits.Processes+32 {
			t.Errorf("%d processes were made with a limit of %d tasks", n, job.Limits.Processes)
		}
		nobodyLeft(t, job)
	})
}

func TestDiskFill(t *testing.T) {
	each(t, func(t *testing.T, e engine) {
		job := attack(t, "disk-fill")
		job.Limits.Inodes = 100_000
		o := e.must(t, job)
		ended(t, o, sandbox.Disk)
		if n, _ := strconv.ParseInt(fact(t, o, "written"), 10, 64); n > job.Limits.Disk || n < job.Limits.Disk/2 {
			t.Errorf("%d bytes were written, %d are allowed", n, job.Limits.Disk)
		}
	})
}

func TestInodeFill(t *testing.T) {
	each(t, func(t *testing.T, e engine) {
		job := attack(t, "inode-fill")
		o := e.must(t, job)
		ended(t, o, sandbox.Disk)
		if n, _ := strconv.ParseInt(fact(t, o, "made"), 10, 64); n > job.Limits.Inodes+10 || n < job.Limits.Inodes/2 {
			t.Errorf("%d inodes were made, %d are allowed", n, job.Limits.Inodes)
		}
	})
}

func TestLogFlood(t *testing.T) {
	each(t, func(t *testing.T, e engine) {
		job := marked(t, attack(t, "log-flood"))
		o := e.must(t, job)
		ended(t, o, sandbox.Log)
		if int64(len(o.log)) != job.Limits.LogBytes {
			t.Errorf("%d bytes of log were kept, want exactly %d", len(o.log), job.Limits.LogBytes)
		}
		nobodyLeft(t, job)
	})
}

func TestEndlessBuild(t *testing.T) {
	each(t, func(t *testing.T, e engine) {
		job := marked(t, attack(t, "endless"))
		job.Limits.Time = time.Second
		ended(t, e.must(t, job), sandbox.Timeout)
		nobodyLeft(t, job)
	})
}

func TestProcessorTime(t *testing.T) {
	each(t, func(t *testing.T, e engine) {
		job := attack(t, "burn")
		job.Limits.CPUTime = time.Second
		ended(t, e.must(t, job), sandbox.Timeout)
	})
}

func TestMemoryBombs(t *testing.T) {
	each(t, func(t *testing.T, e engine) {
		for _, name := range []string{"memory", "memory-children", "memory-shared", "memory-hidden", "memory-descriptors"} {
			t.Run(name, func(t *testing.T) {
				job := marked(t, attack(t, name))
				o := e.must(t, job)
				ended(t, o, sandbox.Memory)
				if o.Usage.Memory > 2*job.Limits.Memory {
					t.Errorf("%d bytes were seen, %d are allowed", o.Usage.Memory, job.Limits.Memory)
				}
				nobodyLeft(t, job)
			})
		}
	})
}

func TestDaemonDies(t *testing.T) {
	each(t, func(t *testing.T, e engine) {
		job := marked(t, attack(t, "daemon"))
		job.Outputs = []string{"/beat"}
		o := e.must(t, job)
		if !o.OK() || !strings.Contains(o.log, "beat") {
			t.Errorf("%+v\n%s", o.Result, o.log)
		}
		nobodyLeft(t, job)
	})
}

func TestCancel(t *testing.T) {
	job := marked(t, attack(t, "endless"))
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("the lease was lost"))
	defer cancel()
	r, err := (&sandbox.Embedded{}).Run(ctx, job, &strings.Builder{}, openDir(t))
	if err != nil || r.Reason != sandbox.Cancelled || r.Detail != "the lease was lost" {
		t.Errorf("%+v, %v", r, err)
	}
	nobodyLeft(t, job)
	r, err = (&sandbox.Embedded{}).Run(ctx, job, &strings.Builder{}, openDir(t)) // which has ended before the start
	if err != nil || r.Reason != sandbox.Cancelled || r.Detail != "the lease was lost" {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestLogThatCannotBeWritten is our failure, not the job's.
func TestLogThatCannotBeWritten(t *testing.T) {
	job := marked(t, attack(t, "log-flood"))
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	if _, err := (&sandbox.Embedded{}).Run(t.Context(), job, full, openDir(t)); err == nil || !strings.Contains(err.Error(), "writing the log") {
		t.Errorf("error is %v", err)
	}
	nobodyLeft(t, job)
}

// TestProcessOutsideIsKilled kills the process that runs the engine: nothing
// of the job may live on.
func TestProcessOutsideIsKilled(t *testing.T) {
	job := marked(t, attack(t, "daemon-and-sleep"))
	dir := openDir(t)
	if os.Geteuid() == 0 {
		os.Chown(dir, testUser, testUser)
	}
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	cmd, _ := clientCommand(t, request{Job: job, OutDir: dir}, out)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out.Close()
	if line, err := bufio.NewReader(in).ReadString('\n'); err != nil {
		t.Fatalf("log: %q, %v", line, err)
	}
	if len(left(t, job)) == 0 {
		t.Fatal("no process of the job was found while it ran")
	}
	cmd.Process.Kill()
	cmd.Wait()
	for range 3000 { // the kernel needs a moment
		if len(left(t, job)) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	nobodyLeft(t, job)
}

func TestOutputsThatAreRefused(t *testing.T) {
	each(t, func(t *testing.T, e engine) {
		for _, c := range []struct {
			attack, arg, output, says string
		}{
			{"out-symlink", "", "/out", "symbolic link"},
			{"out-symlink-dir", "", "/d/status", "links are not followed"},
			{"out-fifo", "", "/out", "pipe"},
			{"out-socket", "", "/out", "socket"},
			{"out-sparse", "", "/out", "more than 33554432 bytes"},
			{"out-many", "200", "/out", "more than 100 files"},
			{"out-deep", "95", "/out", ""},
			{"out-deep", "150", "/out", "more than 100 files"},
			{"out-names", "", "/out", "not UTF-8"},
			{"out-unreadable", "", "/out", "mode 0000"},
			{"out-missing", "", "/out", "not made"},
			{"out-missing", "", "/no/such/place", "not made"},
		} {
			if e.gvisor && c.attack == "out-fifo" {
				c.says = "not made" // it is gVisor's own, and nothing on the disk
			} else if e.gvisor && c.attack == "out-socket" {
				continue // likewise: the directory is empty, and that is fine
			}
			t.Run(c.attack+c.arg, func(t *testing.T) {
				job := attack(t, c.attack, c.arg)
				job.Outputs = []string{c.output}
				o := e.must(t, job)
				if c.says == "" {
					if !o.OK() || len(o.Outputs) != 96 {
						t.Errorf("%+v", o.Result)
					}
					return
				}
				ended(t, o, sandbox.Outputs)
				if !strings.Contains(o.Detail, c.says) || !strings.Contains(o.Detail, c.output) {
					t.Errorf("detail is %q, want %q and %q in it", o.Detail, c.output, c.says)
				}
				if len(o.Outputs) > 0 {
					t.Errorf("outputs are given: %+v", o.Outputs)
				}
			})
		}
	})
}

func TestOutputsWithLinksAndModes(t *testing.T) {
	each(t, func(t *testing.T, e engine) {
		t.Run("links", func(t *testing.T) {
			job := attack(t, "out-symlinks-inside")
			job.Outputs = []string{"/out"}
			o := e.must(t, job)
			got := map[string]string{}
			for _, out := range o.Outputs {
				got[out.Path] = out.Link
			}
			if fmt.Sprint(got) != "map[/out: /out/dir:../../../../../../etc /out/link:/etc/passwd]" {
				t.Errorf("outputs %v, %+v", got, o.Result)
			}
			filepath.WalkDir(o.outDir, func(p string, d fs.DirEntry, err error) error {
				if d.Type()&fs.ModeSymlink != 0 {
					t.Errorf("link %s was made on the host", p)
				}
				return err
			})
		})
		t.Run("hard links", func(t *testing.T) {
			job := attack(t, "hard-links", "/etc/passwd", "/etc/shadow")
			job.Outputs = []string{"/out"}
			o := e.must(t, job)
			nothingGot(t, o)
			if len(o.Outputs) != 3 || o.Outputs[1].SHA256 != o.Outputs[2].SHA256 {
				t.Errorf("%+v", o.Outputs)
			}
		})
		t.Run("set-uid", func(t *testing.T) {
			job := attack(t, "out-modes")
			job.Outputs = []string{"/out"}
			o := e.must(t, job)
			if len(o.Outputs) != 2 || o.Outputs[1].Mode != 0o755|fs.ModeSetuid|fs.ModeSetgid {
				t.Fatalf("%+v", o.Result)
			}
			fi, err := os.Stat(filepath.Join(o.outDir, "out/su"))
			if err != nil || fi.Mode() != 0o644 {
				t.Errorf("on the host: %v, %v", fi.Mode(), err)
			}
		})
	})
}
