package centre

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"vitrine.example/digest"
	"vitrine.example/internal/ledger"
)

// ConfigFile is the name of the configuration in a node's directory.
const ConfigFile = "vitrine.toml"

// maxConfig bounds the configuration in bytes.
const maxConfig = 64 << 10

// Config is DIR/vitrine.toml. Every key is documented in the table configKeys.
type Config struct {
	Name               string   `toml:"name"`
	URL                string   `toml:"url"`
	Listen             string   `toml:"listen"`
	TrustedProxies     []string `toml:"trusted-proxies"`
	RequestsPerSecond  int64    `toml:"requests-per-second"`
	RequestBurst       int64    `toml:"request-burst"`
	MetricsListen      string   `toml:"metrics-listen"`
	AddListen          string   `toml:"add-listen"`
	Bastion            []string `toml:"bastion"`
	Hosts              []string `toml:"hosts"`
	PrivatePeers       bool     `toml:"private-peers"`
	Database           Database `toml:"database"`
	StatementKey       string   `toml:"statement-key"`
	LogKey             string   `toml:"log-key"`
	LogMLDSAKey        string   `toml:"log-mldsa-key"`
	WitnessKey         string   `toml:"witness-key"`
	WitnessMLDSAKey    string   `toml:"witness-mldsa-key"`
	WitnessPerSecond   int64    `toml:"witness-per-second"`
	MirrorKey          string   `toml:"mirror-key"`
	MirrorContentBytes int64    `toml:"mirror-content-bytes"`
	WithheldAfter      string   `toml:"withheld-after"`
	CheckpointInterval string   `toml:"checkpoint-interval"`
	WitnessPolicy      string   `toml:"witness-policy"`
	Rebuild            []string `toml:"rebuild"`
	RebuildEngine      string   `toml:"rebuild-engine"`
	RebuildSlots       int64    `toml:"rebuild-slots"`
	RebuildMemoryBytes int64    `toml:"rebuild-memory-bytes"`
	RebuildDiskBytes   int64    `toml:"rebuild-disk-bytes"`
	RebuildTime        string   `toml:"rebuild-time"`
	FarmListen         string   `toml:"farm-listen"`
	FarmWorkers        []string `toml:"farm-workers"`
	FarmDatabase       Database `toml:"farm-database"`
	FarmLease          string   `toml:"farm-lease"`
	LogLevel           string   `toml:"log-level"`
	LogFormat          string   `toml:"log-format"`

	origin      string
	interval    time.Duration
	withheld    time.Duration
	rebuildTime time.Duration
	level       slog.Level
	proxies     []netip.Prefix
	hosts       hosts
	workers     map[digest.Digest]string
	lease       time.Duration
}

// Database is a file path or a postgres:// URL. It prints without a password.
type Database string

// String hides everything of a URL that may be secret.
func (d Database) String() string {
	if !d.postgres() {
		return string(d)
	}
	u, err := url.Parse(string(d))
	if err != nil {
		return "postgres://…"
	}
	return "postgres://" + u.Host + u.Path
}

// GoString is [Database.String], quoted.
func (d Database) GoString() string { return fmt.Sprintf("%q", d.String()) }

// LogValue is [Database.String], for logs.
func (d Database) LogValue() slog.Value { return slog.StringValue(d.String()) }

func (d Database) postgres() bool {
	return strings.HasPrefix(string(d), "postgres://") || strings.HasPrefix(string(d), "postgresql://")
}

// in returns what the store opens, for the node in dir.
func (d Database) in(dir string) string {
	if d.postgres() || filepath.IsAbs(string(d)) {
		return string(d)
	}
	return filepath.Join(dir, string(d))
}

// Origin returns the log's origin: the host of the URL.
func (c *Config) Origin() string { return c.origin }

// LoadConfig reads and checks DIR/vitrine.toml; errors name line and key.
func LoadConfig(dir string) (*Config, error) {
	path := filepath.Join(dir, ConfigFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not a node: there is no %s; `vitrine init` makes one: %w", dir, ConfigFile, err)
	} else if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	defer f.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(&limited{f, maxConfig}); err != nil {
		return nil, fmt.Errorf("reading the configuration %s: %w", path, err)
	}
	c, err := parseConfig(b.Bytes())
	if err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	return c, nil
}

// limited fails where there is more than it may give.
type limited struct {
	f    *os.File
	left int
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.f.Read(p)
	if l.left -= n; l.left < 0 {
		return 0, fmt.Errorf("larger than %d bytes", maxConfig)
	}
	return n, err
}

// parseConfig reads a configuration, strictly.
func parseConfig(b []byte) (*Config, error) {
	c := defaults()
	if !utf8.Valid(b) {
		return nil, errors.New("not UTF-8")
	}
	d := toml.NewDecoder(bytes.NewReader(b)).DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		return nil, place(err)
	}
	if err := checkSpelling(b); err != nil {
		return nil, err
	}
	if key, err := c.check(); err != nil {
		if line := lineOf(b, key); line > 0 {
			return nil, fmt.Errorf("line %d: %s: %w", line, key, err)
		}
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return c, nil
}

// place says where the TOML reader stumbled, without quoting values: they may
// be secret.
func place(err error) error {
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok && len(strict.Errors) > 0 {
		row, _ := strict.Errors[0].Position()
		return fmt.Errorf("line %d: %s: no such key; `vitrine config` lists them all", row, strings.Join(strict.Errors[0].Key(), "."))
	}
	if bad, ok := errors.AsType[*toml.DecodeError](err); ok {
		row, column := bad.Position()
		if key := strings.Join(bad.Key(), "."); key != "" {
			return fmt.Errorf("line %d, column %d: %s: %s", row, column, key, strings.TrimPrefix(bad.Error(), "toml: "))
		}
		return fmt.Errorf("line %d, column %d: %s", row, column, strings.TrimPrefix(bad.Error(), "toml: "))
	}
	return err
}

// topKey is a key or table at the top of a TOML file.
type topKey struct {
	name string
	line int
}

// topKeys lists what stands at the top of a file that the TOML reader accepted.
func topKeys(b []byte) []topKey {
	var out []topKey
	var p unstable.Parser
	p.Reset(b)
	for p.NextExpression() {
		if k := p.Expression().Key(); k.Next() {
			out = append(out, topKey{string(k.Node().Data), p.Shape(k.Node().Raw).Start.Line})
		}
	}
	return out
}

// checkSpelling refuses a key that is written in another case: the TOML reader
// would take it, and two of them.
func checkSpelling(b []byte) error {
	for _, k := range topKeys(b) {
		if !slices.ContainsFunc(configKeys, func(c configKey) bool { return c.name == k.name }) {
			return fmt.Errorf("line %d: %s: no such key; `vitrine config` lists them all", k.line, k.name)
		}
	}
	return nil
}

// lineOf returns the line on which a key stands, or 0.
func lineOf(b []byte, key string) int {
	for _, k := range topKeys(b) {
		if k.name == key {
			return k.line
		}
	}
	return 0
}

// check returns the first key that is wrong, and how.
func (c *Config) check() (key string, err error) {
	c.origin, err = originOf(c.URL)
	if err != nil {
		return "url", err
	}
	c.URL = strings.TrimSuffix(c.URL, "/")
	if c.interval, err = time.ParseDuration(c.CheckpointInterval); err != nil {
		return "checkpoint-interval", fmt.Errorf("%.40q is not a time such as 100ms or 2s", c.CheckpointInterval)
	}
	if c.interval < ledger.DefaultInterval || c.interval > time.Minute {
		return "checkpoint-interval", fmt.Errorf("%s is not between %s and 1m", c.interval, ledger.DefaultInterval)
	}
	if c.withheld, err = parseDeadline(c.WithheldAfter); err != nil {
		return "withheld-after", err
	}
	if c.rebuildTime, err = parseRebuildTime(c.RebuildTime); err != nil {
		return "rebuild-time", err
	}
	if c.proxies, err = prefixes(c.TrustedProxies); err != nil {
		return "trusted-proxies", err
	}
	if c.hosts, err = parseHosts(c.Hosts); err != nil {
		return "hosts", err
	}
	if c.workers, err = parseWorkers(c.FarmWorkers); err != nil {
		return "farm-workers", err
	}
	if c.lease, err = parseLease(c.FarmLease); err != nil {
		return "farm-lease", err
	}
	for _, k := range []struct {
		key string
		err error
	}{
		{"name", checkName(c.Name)},
		{"listen", checkListen(c.Listen, false, false)},
		{"metrics-listen", checkListen(c.MetricsListen, true, false)},
		{"add-listen", checkListen(c.AddListen, true, true)},
		{"bastion", checkBastions(c.Bastion)},
		{"requests-per-second", checkRange(c.RequestsPerSecond, 0, 1_000_000)},
		{"request-burst", checkRange(c.RequestBurst, 1, 1_000_000)},
		{"database", checkDatabase(c.Database)},
		{"statement-key", checkPath(strings.TrimPrefix(c.StatementKey, agentPrefix))},
		{"log-key", checkPath(c.LogKey)},
		{"witness-per-second", checkRange(c.WitnessPerSecond, 1, 10_000)},
		{"mirror-content-bytes", checkRange(c.MirrorContentBytes, 0, 1<<50)},
		{"witness-policy", checkOptionalPath(c.WitnessPolicy)},
		{"rebuild", checkRebuild(c.Rebuild)},
		{"rebuild-engine", checkEngine(c.RebuildEngine)},
		{"rebuild-slots", checkRange(c.RebuildSlots, 0, maxSlots)},
		{"rebuild-memory-bytes", checkRange(c.RebuildMemoryBytes, 1<<20, 1<<50)},
		{"rebuild-disk-bytes", checkRange(c.RebuildDiskBytes, 1<<20, 1<<50)},
		{"farm-listen", checkListen(c.FarmListen, true, false)},
		{"farm-database", checkFarmDatabase(c.FarmDatabase)},
		{"log-level", c.level.UnmarshalText([]byte(c.LogLevel))},
		{"log-format", checkFormat(c.LogFormat)},
	} {
		if k.err != nil {
			return k.key, k.err
		}
	}
	return "", nil
}

// originOf returns the origin of the log at a base URL: exactly its host, so
// that cosign finds the log's key by it (DESIGN §4).
func originOf(base string) (string, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || len(base) > 512 {
		return "", fmt.Errorf("%.80q is not a URL such as https://log.example.org", base)
	}
	host := u.Hostname()
	addr, ipErr := netip.ParseAddr(host)
	local := host == "localhost" || ipErr == nil
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return "", fmt.Errorf("%.80q does not begin with https:// or http://", base)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", fmt.Errorf("%.80q has more than scheme and host", base)
	case u.Path != "" && u.Path != "/":
		return "", fmt.Errorf("%.80q has a path: the log's origin is the host of the URL and nothing else, so the node needs a host name of its own", base)
	case u.Port() != "" && !local:
		return "", fmt.Errorf("%.80q has a port: the log's origin is the host alone, and verifiers look for it there; use the usual port (a port is allowed with localhost or an IP address, for trying things out)", base)
	case strings.HasSuffix(u.Host, ":"):
		return "", fmt.Errorf("%.80q has an empty port", base)
	case ipErr == nil && addr.Zone() != "":
		return "", fmt.Errorf("%.80q has a zone", base)
	case ipErr != nil && !hostName(host):
		return "", fmt.Errorf("%.80q: the host is not a lower-case DNS name (write an international name in its xn-- form)", base)
	}
	return host, nil
}

// hostName reports whether s is a DNS name in lower case (RFC 1123, section 2.1).
func hostName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	return true
}

func checkName(s string) error {
	if s == "" || len(s) > 200 || strings.TrimSpace(s) != s {
		return errors.New("want 1 to 200 bytes without spaces around them")
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("%q cannot be printed", r)
		}
	}
	return nil
}

// checkListen wants host:port. An address that opens the node's inside must be
// a loopback address.
func checkListen(s string, optional, loopback bool) error {
	if s == "" && optional {
		return nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%.80q is not host:port, such as 127.0.0.1:8080", s)
	}
	if _, err := net.LookupPort("tcp", port); err != nil || port == "" {
		return fmt.Errorf("%.80q: %.20q is not a port", s, port)
	}
	if !loopback || host == "localhost" {
		return nil
	}
	if a, err := netip.ParseAddr(host); err != nil || !a.IsLoopback() {
		return fmt.Errorf("%.80q is not a loopback address: whoever reaches it can write into the log unchecked; use 127.0.0.1:port", s)
	}
	return nil
}

func checkRange(n, low, high int64) error {
	if n < low || n > high {
		return fmt.Errorf("%d is not between %d and %d", n, low, high)
	}
	return nil
}

func checkDatabase(d Database) error {
	if !d.postgres() {
		if strings.Contains(string(d), "://") {
			return errors.New("want a file name or postgres://user@host/name")
		}
		return checkPath(string(d))
	}
	if u, err := url.Parse(string(d)); err != nil || u.Host == "" {
		return errors.New("not a URL such as postgres://user@host/name") // the error of Parse would show the password
	}
	return nil
}

func checkPath(s string) error {
	if s == "" || strings.ContainsRune(s, 0) {
		return errors.New("want a path")
	}
	return nil
}

func checkFormat(s string) error {
	if s != "text" && s != "json" {
		return fmt.Errorf("%.40q is neither text nor json", s)
	}
	return nil
}

// prefixes reads addresses and CIDR prefixes.
func prefixes(list []string) ([]netip.Prefix, error) {
	if len(list) > 64 {
		return nil, errors.New("more than 64 addresses")
	}
	var out []netip.Prefix
	for _, s := range list {
		if p, err := netip.ParsePrefix(s); err == nil {
			out = append(out, p)
		} else if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
		} else {
			return nil, fmt.Errorf("%.60q is neither an IP address nor a prefix such as 10.0.0.0/8", s)
		}
	}
	return out, nil
}
