package peer

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // makes the table that Sunlight wants
)

// SunlightVersion is the version that is run.
const SunlightVersion = "v0.9.0"

const (
	sunlightHost  = "sunlight.example"
	sunlightStart = 30 * time.Second
	sunlightList  = "logs.txt"
	sunlightLists = `sunlight_witness_log_list_pull_timestamp_seconds{` // a line for each list read
)

// Sunlight is a Sunlight that runs: a witness and a mirror. Its certificate is
// for a name that only its client and Dial can reach.
type Sunlight struct {
	Submission  string // prefix of witness and mirror
	Monitoring  string // prefix of the witness, over plain HTTP
	Mirrored    string // monitoring prefix of the mirror, over plain HTTP
	WitnessKeys []string
	MirrorKeys  []string
	Roots       *x509.CertPool
	Client      *http.Client

	dir, addr string
	cmd       *exec.Cmd
	out       bytes.Buffer
	files     *httptest.Server
}

// StartSunlight starts one in an empty directory that witnesses and mirrors the
// logs of these verifier keys, each of which has its name for its origin. The
// caller stops it.
func StartSunlight(ctx context.Context, dir string, vkeys []string) (*Sunlight, error) {
	program, err := BuildIn(ctx, "filippo.io/sunlight", "filippo.io/sunlight/cmd/sunlight", SunlightVersion)
	if err != nil {
		return nil, err
	}
	s := &Sunlight{dir: dir, Submission: "https://" + sunlightHost + "/witness"}
	if err := s.configure(ctx, vkeys); err != nil {
		return nil, fmt.Errorf("configuring sunlight: %w", err)
	}
	s.Client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DialContext: s.Dial, TLSClientConfig: &tls.Config{RootCAs: s.Roots}, MaxIdleConnsPerHost: 16,
	}}
	s.files = httptest.NewServer(http.HandlerFunc(s.serveFile))
	s.Monitoring, s.Mirrored = s.files.URL, s.files.URL+"/mirror"
	s.cmd = exec.Command(program, "-testcert")
	s.cmd.Dir, s.cmd.Stderr = dir, &s.out
	if err := s.cmd.Start(); err != nil {
		s.files.Close()
		return nil, err
	}
	if err := s.ready(ctx); err != nil {
		err = errors.Join(err, s.Stop())
		return nil, fmt.Errorf("%w: %s", err, s.out.Bytes())
	}
	return s, nil
}

// Dial reaches Sunlight by its name, and others as they are.
func (s *Sunlight) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return dial(ctx, network, addr, sunlightHost, s.addr)
}

// CPU is the processor time that it has used; call it after Stop.
func (s *Sunlight) CPU() time.Duration {
	return s.cmd.ProcessState.UserTime() + s.cmd.ProcessState.SystemTime()
}

// Stop ends it and makes its files such that they can be removed.
func (s *Sunlight) Stop() error {
	s.files.Close()
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	return filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		// It makes tiles immutable where it may. Where it could not, neither can this.
		_ = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, 0)
		return f.Close()
	})
}

func (s *Sunlight) configure(ctx context.Context, vkeys []string) error {
	var err error
	if s.addr, err = freePort(); err != nil {
		return err
	}
	if s.Roots, err = Certify(s.dir, "sunlight", sunlightHost); err != nil {
		return err
	}
	var list strings.Builder
	list.WriteString("logs/v0\n")
	for _, k := range vkeys {
		fmt.Fprintf(&list, "vkey %s\n", k)
	}
	seed := make([]byte, 32)
	_, _ = rand.Read(seed)
	for name, b := range map[string][]byte{sunlightList: []byte(list.String()), "mirror-" + sunlightList: []byte(list.String()), "seed": seed, "sunlight.yaml": s.config()} {
		if err := os.WriteFile(filepath.Join(s.dir, name), b, 0o600); err != nil {
			return err
		}
	}
	db, err := sql.Open("sqlite", filepath.Join(s.dir, "checkpoints.db"))
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "CREATE TABLE checkpoints (logID BLOB PRIMARY KEY, body BLOB NOT NULL) STRICT")
	return errors.Join(err, db.Close())
}

// config has one log of certificates, without which it ends at once.
func (s *Sunlight) config() []byte {
	now := time.Now()
	return fmt.Appendf(nil, `listen: [%q]
checkpoints: checkpoints.db
witness:
  name: %[2]s/witness
  mirrorname: %[2]s/mirror
  submissionprefix: %[3]s
  monitoringprefix: https://%[2]s/files
  secret: seed
  loglists: [%[4]s]
  mirrorloglists: [mirror-%[4]s]
  localdirectory: files
logs:
  - shortname: ct
    inception: %[5]q
    period: 60000
    submissionprefix: https://%[2]s/ct
    monitoringprefix: https://%[2]s/ct-files
    roots: sunlight.pem
    secret: seed
    cache: cache.db
    localdirectory: ct
    notafterstart: %[6]q
    notafterlimit: %[7]q
`, s.addr, sunlightHost, s.Submission, sunlightList, now.Format(time.DateOnly),
		now.AddDate(0, -6, 0).Format(time.RFC3339), now.AddDate(0, 6, 0).Format(time.RFC3339))
}

// ready waits until it has read its lists, and asks for its keys.
func (s *Sunlight) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sunlightStart)
	defer cancel()
	for {
		b, err := s.get(ctx, "https://"+sunlightHost+"/metrics")
		if err == nil && bytes.Count(b, []byte("\n"+sunlightLists)) == 2 {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("sunlight is not ready: %w", errors.Join(err, ctx.Err()))
		case <-time.After(50 * time.Millisecond):
		}
	}
	for path, to := range map[string]*[]string{"/witness.v0.json": &s.WitnessKeys, "/mirror/mirror.v0.json": &s.MirrorKeys} {
		b, err := s.get(ctx, s.Submission+path)
		if err != nil {
			return err
		}
		var about struct {
			Keys []string `json:"verifier_keys"`
		}
		if err := json.Unmarshal(b, &about); err != nil || len(about.Keys) == 0 {
			return fmt.Errorf("%s: no keys: %w", path, err)
		}
		*to = about.Keys
	}
	return nil
}

func (s *Sunlight) get(ctx context.Context, url string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := s.Client.Do(r)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err := errors.Join(err, res.Body.Close()); err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, res.Status)
	}
	return b, nil
}

// serveFile serves what Sunlight leaves to a web server: entry bundles are
// compressed on the disk.
func (s *Sunlight) serveFile(w http.ResponseWriter, r *http.Request) {
	name, err := filepath.Localize(strings.TrimPrefix(r.URL.Path, "/"))
	if err != nil || r.Method != http.MethodGet {
		http.Error(w, "want GET and a path", http.StatusBadRequest)
		return
	}
	b, err := os.ReadFile(filepath.Join(s.dir, "files", name))
	if err != nil {
		http.Error(w, "not here", http.StatusNotFound)
		return
	}
	if strings.Contains(r.URL.Path, "/tile/entries/") {
		w.Header().Set("Content-Encoding", "gzip")
	}
	_, _ = w.Write(b)
}
