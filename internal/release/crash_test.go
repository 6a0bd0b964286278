package release_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/release"
	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/key"
	"vitrine.example/statement"
)

// crashing is set in a child of this test program, which publishes and kills
// itself where the variable says.
const crashing = "RELEASE_TEST_CRASH"

func TestMain(m *testing.M) {
	if point := os.Getenv(crashing); point != "" {
		fmt.Fprintln(os.Stderr, child(point, os.Args[1], os.Args[2]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// die ends this process as a power cut would end it.
func die() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) }

// child publishes what is in dir, and dies at point.
func child(point, url, dir string) error {
	p, err := fileWorld(url, dir)
	if err != nil {
		return err
	}
	log := p.Submit.(*fileLog)
	at, _ := strconv.ParseInt(point, 10, 64)
	p.Progress = func(stage string, done, _ int64) {
		if at > 0 && stage == release.StageArtifacts && done >= at || point == stage && done > 0 {
			die()
		}
	}
	log.at = func(here string) {
		if here == point {
			die()
		}
	}
	_, err = p.Publish(context.Background(), crashRequest(dir))
	return errors.Join(errors.New("published without dying"), err)
}

func crashRequest(dir string) release.Request {
	return release.Request{
		Product: product, Version: "1", Channel: "c", Source: filepath.Join(dir, "src.tar"),
		Artifacts: []string{filepath.Join(dir, "a"), filepath.Join(dir, "b")},
	}
}

// fileWorld opens a node that outlives its process.
func fileWorld(url, dir string) (*release.Publisher, error) {
	db, err := store.Open(context.Background(), url)
	if err != nil {
		return nil, err
	}
	c, err := content.Open(filepath.Join(dir, "content"))
	if err != nil {
		return nil, err
	}
	private, err := key.ReadPrivateFile(filepath.Join(dir, "key"))
	if err != nil {
		return nil, err
	}
	s, err := key.NewSigner(private)
	if err != nil {
		return nil, err
	}
	return &release.Publisher{DB: db, Content: c, Signer: s, Submit: &fileLog{db: db, dir: dir}, Now: ticking()}, nil
}

// fileLog is a log of one digest a line, and a second file of all that was
// ever submitted.
type fileLog struct {
	db  *store.DB
	dir string
	at  func(point string)
}

func (l *fileLog) Submit(ctx context.Context, raw []byte) (release.Receipt, error) {
	d := digest.Of(raw).String()
	if err := appendLine(filepath.Join(l.dir, "submitted"), d); err != nil {
		return release.Receipt{}, err
	}
	l.at("signed")
	env, err := statement.Parse(raw)
	if err != nil {
		return release.Receipt{}, err
	}
	if err := l.db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return release.Admit(ctx, tx, env) }); err != nil {
		return release.Receipt{}, err
	}
	l.at("admitted")
	for i, have := range l.lines("log") {
		if have == d {
			return release.Receipt{Index: int64(i), Duplicate: true}, nil
		}
	}
	if err := appendLine(filepath.Join(l.dir, "log"), d); err != nil {
		return release.Receipt{}, err
	}
	l.at("logged")
	return release.Receipt{Index: int64(len(l.lines("log")) - 1)}, nil
}

func (l *fileLog) lines(name string) []string {
	b, _ := os.ReadFile(filepath.Join(l.dir, name)) // missing: empty
	return strings.Fields(string(b))
}

func appendLine(path, line string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, line)
	return errors.Join(err, f.Close())
}

// TestKill kills a publishing process at one point after the other: in the end
// there is one statement at one index, nothing else was ever submitted, and
// what was done before was not done again.
func TestKill(t *testing.T) {
	storetest.URLs(t, func(t *testing.T, url string) {
		dir := t.TempDir()
		file(t, filepath.Join(dir, "a"), 1, 2*mega)
		file(t, filepath.Join(dir, "b"), 2, 2*mega)
		archive(t, filepath.Join(dir, "src.tar"), 2*mega)
		writeKey(t, filepath.Join(dir, "key"))
		points := []string{"1", strconv.Itoa(mega), strconv.Itoa(3 * mega), release.StageSource, "signed", "signed", "admitted", "logged", "logged", release.StageLog}
		for i, point := range points {
			// Once the statement is in the log, "logged" is not reached again.
			if i > 0 && point == "logged" && points[i-1] == "logged" {
				point = "admitted"
			}
			kill(t, point, url, dir)
		}
		p, err := fileWorld(url, dir)
		if err != nil {
			t.Fatal(err)
		}
		defer p.DB.Close()
		log := p.Submit.(*fileLog)
		log.at = func(string) {}
		before := bytesRead(t)
		out, err := p.Publish(t.Context(), crashRequest(dir))
		if err != nil {
			t.Fatal(err)
		}
		if n := bytesRead(t) - before; n > mega {
			t.Errorf("%d bytes were read again", n)
		}
		if !out.Duplicate || out.Index != 0 || out.Release.Seq != 1 {
			t.Errorf("receipt %+v, release %+v", out.Receipt, out.Release)
		}
		if lines := log.lines("log"); len(lines) != 1 || lines[0] != out.Envelope.Digest().String() {
			t.Errorf("the log holds %v", lines)
		}
		for _, d := range log.lines("submitted") {
			if d != out.Envelope.Digest().String() {
				t.Errorf("statement %s was submitted, too", d)
			}
		}
		noLeftovers(t, filepath.Join(dir, "content", "tmp"))
	})
}

// kill runs a child that must die at point.
func kill(t *testing.T, point, url, dir string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, url, dir)
	cmd.Env = append(os.Environ(), crashing+"="+point)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("child for %s: %v\n%s", point, err, out)
	}
}

func writeKey(t *testing.T, path string) {
	t.Helper()
	private, err := key.Generate(key.P256, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := key.MarshalPrivate(private)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// noLeftovers fails where temporary files of dead processes remain.
func noLeftovers(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		t.Errorf("left behind: %s", e.Name())
	}
}
