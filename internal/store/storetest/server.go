package storetest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// missing is what to do where there is no PostgreSQL.
const missing = "PostgreSQL is not installed: run `apt-get install postgresql`"

// server is a running PostgreSQL.
type server struct {
	bin  string // directory of its programs
	port string
	as   *syscall.SysProcAttr // who runs it
	hold io.Closer            // the server ends when this is closed
	made atomic.Int64         // databases
}

// shared is the server of this process.
var shared = sync.OnceValues(start)

// watch runs the server until its standard input ends, which it does when the
// test program closes it or dies, and then removes every trace. $1 is the
// directory, $2 the program, the rest its arguments.
const watch = `dir=$1; shift
"$@" >"$dir/log" 2>&1 </dev/null &
server=$!
cat >/dev/null
kill -INT "$server" 2>/dev/null
wait "$server"
rm -rf "$dir"`

func start() (*server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	as, owner, err := account()
	if err != nil {
		return nil, err
	}
	dir, err := directory(owner)
	if err != nil {
		return nil, err
	}
	s := &server{bin: bin, as: as}
	err = s.output("initdb", "--auth=trust", "--username=postgres", "--no-sync", "--no-instructions",
		"--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US", "--pgdata="+dir+"/data")
	if err == nil {
		// Another program may take the port between our choice and the start.
		for range 3 {
			if err = s.run(dir); err == nil {
				return s, nil
			}
		}
	}
	return nil, errors.Join(err, os.RemoveAll(dir))
}

// programs returns the directory of the newest PostgreSQL.
func programs() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	best, dir := 0, ""
	for _, f := range found {
		bin := filepath.Dir(f)
		v, err := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
		if err == nil && v > best {
			best, dir = v, bin
		}
	}
	if dir != "" {
		return dir, nil
	}
	if f, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(f), nil
	}
	return "", errors.New(missing)
}

// account returns who runs the server: PostgreSQL refuses to run as root.
func account() (as *syscall.SysProcAttr, owner int, err error) {
	as = &syscall.SysProcAttr{Setsid: true} // an interrupt at the terminal is for the test alone
	if os.Geteuid() != 0 {
		return as, os.Geteuid(), nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, 0, fmt.Errorf("no user postgres to run the server as: %s: %w", missing, err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, 0, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, 0, err
	}
	as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return as, int(uid), nil
}

// directory makes a directory for the server's files where its account can
// reach it.
func directory(owner int) (string, error) {
	parent := os.TempDir()
	for d := parent; owner != os.Geteuid(); d = filepath.Dir(d) {
		fi, err := os.Stat(d)
		if err != nil || fi.Mode().Perm()&0o001 == 0 {
			parent = "/tmp"
			break
		}
		if d == filepath.Dir(d) {
			break
		}
	}
	dir, err := os.MkdirTemp(parent, "storetest-")
	if err != nil {
		return "", err
	}
	if owner != os.Geteuid() {
		err = os.Chown(dir, owner, -1)
	}
	return dir, err
}

// run starts the server on a free port and waits until it answers.
func (s *server) run(dir string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	_, s.port, err = net.SplitHostPort(l.Addr().String())
	if err := errors.Join(err, l.Close()); err != nil {
		return err
	}
	cmd := exec.Command("/bin/sh", "-c", watch, "watch", dir, filepath.Join(s.bin, "postgres"),
		"-D", dir+"/data", "-p", s.port, "-h", "127.0.0.1", "-k", "",
		"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "shared_buffers=32MB",
		"-c", "max_connections=200", "-c", "autovacuum=off", "-c", "log_min_messages=fatal")
	cmd.Dir, cmd.SysProcAttr = "/", s.as
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.hold = in // never closed in good order: the end of the process does
	for range 600 {
		if err = s.output("pg_isready", "--quiet", "--host=127.0.0.1", "--port="+s.port); err == nil {
			return nil
		}
		log, _ := os.ReadFile(dir + "/log")
		if strings.Contains(string(log), "could not bind") {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	// Keep the directory, the next attempt needs it.
	log, _ := os.ReadFile(dir + "/log")
	return errors.Join(fmt.Errorf("starting PostgreSQL: %w: %s", err, log), cmd.Process.Kill(), ignore(cmd.Wait()))
}

func ignore(error) error { return nil }

// output runs a program of PostgreSQL to its end.
func (s *server) output(name string, args ...string) error {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir, cmd.SysProcAttr = "/", s.as
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

// create makes an empty database.
func (s *server) create() (url string, drop func() error, err error) {
	name := fmt.Sprintf("t%d", s.made.Add(1))
	at := []string{"--host=127.0.0.1", "--port=" + s.port, "--username=postgres"}
	if err := s.output("createdb", append(at, name)...); err != nil {
		return "", nil, err
	}
	url = "postgres://postgres@127.0.0.1:" + s.port + "/" + name + "?sslmode=disable"
	return url, func() error { return s.output("dropdb", append(at, "--force", name)...) }, nil
}
