package storetest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
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

// watch makes and starts the server, says "ready", waits until its standard
// input ends, which it does when the test program closes it or dies, and then
// stops the server and removes every trace. $1 is the directory, $2 that of the
// programs, $3 the port. Whatever happens meanwhile, the end is reached.
const watch = `
"$2/initdb" --auth=trust --username=postgres --no-sync --no-instructions --encoding=UTF8 --locale=C.UTF-8 \
	--locale-provider=icu --icu-locale=en-US --pgdata="$1/data" >"$1/log" 2>&1 &&
"$2/pg_ctl" start --wait --timeout=120 --pgdata="$1/data" --log="$1/log" --options="-p $3 -h 127.0.0.1 -k '' \
	-c fsync=off -c full_page_writes=off -c shared_buffers=32MB -c max_connections=200 -c autovacuum=off" >/dev/null 2>&1 &&
word=ready || word=failed
(trap '' PIPE; echo $word) 2>/dev/null # who waits for it may have died
cat >/dev/null
"$2/pg_ctl" stop --mode=immediate --wait --pgdata="$1/data" >/dev/null 2>&1
rm -rf "$1"`

func start() (*server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	as, owner, err := account()
	if err != nil {
		return nil, err
	}
	s := &server{bin: bin, as: as}
	// Another program may take the port between our choice and the start.
	for range 3 {
		if err = s.run(owner); err == nil {
			return s, nil
		}
	}
	return nil, err
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
// reach and remove it.
func directory(owner int) (string, error) {
	parent := os.TempDir()
	if owner != os.Geteuid() && !open(parent) {
		parent = "/tmp"
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

// open reports whether everybody may make and remove files in dir.
func open(dir string) bool {
	for need := fs.FileMode(0o003); ; need = 0o001 {
		fi, err := os.Stat(dir)
		if err != nil || fi.Mode().Perm()&need != need {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
		dir = filepath.Dir(dir)
	}
}

// run starts the server on a free port and waits until it answers.
func (s *server) run(owner int) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	_, s.port, err = net.SplitHostPort(l.Addr().String())
	if err := errors.Join(err, l.Close()); err != nil {
		return err
	}
	dir, err := directory(owner)
	if err != nil {
		return err
	}
	cmd := exec.Command("/bin/sh", "-c", watch, "watch", dir, s.bin, s.port)
	cmd.Dir, cmd.SysProcAttr = "/", s.as
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	if word, err := bufio.NewReader(out).ReadString('\n'); word != "ready\n" {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		_ = in.Close() // which removes the directory
		return errors.Join(fmt.Errorf("starting PostgreSQL: %s", log), err, cmd.Wait())
	}
	s.hold = in // never closed in good order: the end of the process does
	return nil
}

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
