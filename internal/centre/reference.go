package centre

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// configKey documents one key. The reference, the default file and
// docs/configuration.md all come from this table.
type configKey struct {
	name    string
	initial any    // the default; nil: the key must be given
	example any    // of a key that must be given
	doc     string // one paragraph
}

var configKeys = []configKey{
	{"name", nil, "Example Ltd", "Name of the organisation, for people."},
	{"url", nil, "https://log.example.org", "Public base URL. Its host is the log's origin and can never change: no path, and no port either, but with localhost or an IP address for trying things out."},
	{"listen", "127.0.0.1:8080", nil, "Address of the pages, the API and the log. The default is for a reverse proxy on the same machine, which speaks TLS."},
	{"trusted-proxies", []string{"127.0.0.0/8", "::1"}, nil, "Addresses or prefixes whose X-Forwarded-For header is believed, to know whom a request is counted against."},
	{"requests-per-second", int64(50), nil, "How many requests a second one client may make for long; 0 for no limit. A client is an IPv4 address or an IPv6 /64. Programs on the same machine that no proxy speaks for are not limited."},
	{"request-burst", int64(200), nil, "How many requests one client may make at once."},
	{"metrics-listen", "", nil, "Address of a listener of its own for /metrics, /healthz and /readyz, such as 127.0.0.1:9464; empty for none. It asks nobody who they are. The metrics are always at DIR/run/control.sock too."},
	{"add-listen", "", nil, "Loopback address of POST /add, which writes raw entries into the log unchecked; empty for none. Only for load tests."},
	{"bastion", []string{}, nil, "Bastions (C2SP https-bastion) through which others reach a node that they cannot connect to: host:port of each. The node connects out with the key keys/bastion.pem, which is made when it is needed, and logs its URL there, https://bastion/<key hash>/; the witness is at witness/ below that."},
	{"hosts", []string{}, nil, "Where other nodes are reached in place of what DNS says: name=address or name=address:port, for closed networks and for trying things out."},
	{"private-peers", false, nil, "Whether members of the circle may be reached at addresses that are not public: private networks and this machine. They are without this key where the URL of this node leads to such an address, and where hosts names them. Else a member could have this node ask a service that only its machine reaches."},
	{"database", "vitrine.db", nil, "SQLite file, relative to the directory, or a postgres:// URL. Leave the password out of the URL: PGPASSFILE and ~/.pgpass are read."},
	{"statement-key", "keys/statement.pem", nil, "Key that signs statements: a file, relative to the directory, or ssh-agent:SHA256:… for a key in the agent at SSH_AUTH_SOCK."},
	{"log-key", "keys/log.pem", nil, "Ed25519 key that signs checkpoints: a file, relative to the directory."},
	{"log-mldsa-key", "", nil, "ML-DSA-44 key that signs checkpoints too: a file, relative to the directory; empty for none."},
	{"witness-key", "", nil, "Ed25519 key of the witness, which cosigns the logs of others: a file, relative to the directory; empty for none. Without this key and the next the node is no witness."},
	{"witness-mldsa-key", "", nil, "ML-DSA-44 key of the witness: a file, relative to the directory; empty for none."},
	{"witness-per-second", int64(20), nil, "How many checkpoints a second the witness cosigns for one log for long, where the log was added without a rate of its own; five times as many at once."},
	{"mirror-key", "", nil, "Ed25519 key with which the node signs that it mirrors a log, under /mirror/: a file, relative to the directory; empty for no mirror. Never the key of a witness."},
	{"mirror-content-bytes", int64(10 << 30), nil, "How many bytes of released files the node fetches of the logs that it mirrors, in all: artifacts, SBOMs and public sources; 0 for statements only. What is there is never given up for something newer."},
	{"withheld-after", "24h", nil, "How long something that a mirrored log names may be missing before the node says in its own log that it is withheld, from 1m to 8760h."},
	{"checkpoint-interval", "100ms", nil, "Shortest time between two checkpoints, from 100ms to 1m."},
	{"witness-policy", "", nil, "C2SP tlog-policy with the witnesses that cosign the own log and how many of them must, before anything is published: a file, relative to the directory; empty for none. Each witness line needs a URL."},
	{"rebuild", []string{}, nil, "Origins of logs whose releases are built again here, the own one perhaps among them; \"*\" for all that are followed; empty for none. What came of it stands in the own log, well or not."},
	{"rebuild-engine", "embedded", nil, "What the node's own worker builds in: embedded, which needs nothing but Linux, or gvisor, which needs runsc on PATH."},
	{"rebuild-slots", int64(1), nil, "How many releases the node's own worker builds at once; 0 leaves all to workers elsewhere."},
	{"rebuild-memory-bytes", int64(8 << 30), nil, "How many bytes of memory one rebuild may ask for. A recipe that asks for more is not built, and the node says so in its log."},
	{"rebuild-disk-bytes", int64(32 << 30), nil, "How many bytes the inputs, the root file system, the work and the outputs of one rebuild may take together. The embedded engine keeps root and work in memory, or in swap."},
	{"rebuild-time", "6h", nil, "How long one rebuild may ask for, from 1m to 48h."},
	{"farm-listen", "", nil, "Address at which workers fetch rebuilds, such as 192.0.2.7:8444; empty for none. TLS with known keys on both sides, so no proxy can stand before it. The node's key keys/farm.pem is made when it is needed; `vitrine doctor` shows its ID, which workers are given."},
	{"farm-workers", []string{}, nil, "Workers that may fetch rebuilds, name=keyid; `vitrine worker` prints the ID of its key. The name stands in the node's own records of attempts. Workers are trusted: what they answer is what the node signs."},
	{"farm-database", "", nil, "postgres:// URL of a queue of rebuilds that several nodes of one organisation share; empty for a queue in the node's own database. Leave the password out of the URL: PGPASSFILE and ~/.pgpass are read."},
	{"farm-lease", "1m", nil, "How long a worker may be silent before its rebuild is given to another, from 1s to 1h. Nodes that share a queue have the same."},
	{"log-level", "info", nil, "How much the node says of its work: debug, info, warn or error."},
	{"log-format", "text", nil, "text or json."},
}

// defaults returns a configuration in which only what must be given is missing.
func defaults() *Config {
	c := &Config{}
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag.Get("toml")
		for _, k := range configKeys {
			if k.name == tag && k.initial != nil {
				v.Field(i).Set(reflect.ValueOf(k.initial).Convert(v.Field(i).Type()))
			}
		}
	}
	return c
}

// ConfigReference returns the documentation of every key, as a commented TOML file.
func ConfigReference() string {
	return "# vitrine.toml: every key with its default.\n# Keys without a default are not commented out.\n\n" + renderConfig(nil)
}

// renderConfig writes a configuration in which the given keys are set.
func renderConfig(set map[string]any) string {
	var b strings.Builder
	for i, k := range configKeys {
		if i > 0 {
			b.WriteByte('\n')
		}
		for _, line := range wrap(k.doc, 76) {
			b.WriteString("# " + line + "\n")
		}
		v, given := set[k.name]
		switch {
		case given:
			fmt.Fprintf(&b, "%s = %s\n", k.name, literal(v))
		case k.initial == nil:
			fmt.Fprintf(&b, "%s = %s\n", k.name, literal(k.example))
		default:
			fmt.Fprintf(&b, "#%s = %s\n", k.name, literal(k.initial))
		}
	}
	return b.String()
}

// ConfigMarkdown returns docs/configuration.md.
func ConfigMarkdown() string {
	var b strings.Builder
	b.WriteString(`# Configuration

A node is configured by one file, ` + "`DIR/vitrine.toml`" + `. ` + "`vitrine init`" + ` writes it, ` + "`vitrine config`" + ` prints it with every key explained, and ` + "`vitrine doctor`" + ` checks it. A key that is not in this table is refused, with its line. Changes take effect when the node is started again.

| key | default | meaning |
|---|---|---|
`)
	for _, k := range configKeys {
		def := "must be given"
		if k.initial != nil {
			def = "`" + literal(k.initial) + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", k.name, def, strings.ReplaceAll(k.doc, "|", `\|`))
	}
	b.WriteString("\nThe whole file:\n\n```toml\n" + ConfigReference() + "```\n")
	return b.String()
}

// literal writes a TOML value.
func literal(v any) string {
	switch v := v.(type) {
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case []string:
		var q []string
		for _, s := range v {
			q = append(q, literal(s))
		}
		return "[" + strings.Join(q, ", ") + "]"
	case string:
		return tomlString(v)
	}
	panic(fmt.Sprintf("no TOML literal for %T", v))
}

// tomlString quotes a string as TOML 1.0 does.
func tomlString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// wrap breaks a paragraph into lines.
func wrap(s string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(s) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
