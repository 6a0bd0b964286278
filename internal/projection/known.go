package projection

import (
	"bytes"
	"crypto/ecdsa"
	"sync"
	"sync/atomic"

	"vitrine.example/internal/p256"
	"vitrine.example/key"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// known remembers the keys of a log's entries. An entry ends with its key,
// which has one way to be written; reading it, and the whole entry as JSON, is
// what can be spared where the envelope gives the same entry again.
type known struct {
	mu     sync.RWMutex
	keys   map[string]*knownKey // by the end of an entry
	tables int                  // how many of all keys that were remembered have had a table
}

// knownKey is a key and how often it was seen.
type knownKey struct {
	v    *key.Verifier
	seen atomic.Int64
}

// A hostile log has any number of keys.
const (
	maxKnown  = 64   // keys remembered at once
	maxTables = 8    // keys of 780 KB each
	tableFrom = 1024 // entries of a key; a table takes as long as 50 signatures
)

// keyMark begins the end of an entry.
var keyMark = []byte(`"publicKey":{"rawBytes":"`)

// parse is parse, but takes an entry that ends with a known key for a statement's
// without reading it: the fact is loose.
func (k *known) parse(index int64, raw []byte) fact {
	at := bytes.LastIndex(raw[:min(len(raw), statement.MaxLeaf)], keyMark)
	if at < 0 || len(raw) > statement.MaxLeaf {
		return parse(index, raw)
	}
	k.mu.RLock()
	have := k.keys[string(raw[at:])]
	k.mu.RUnlock()
	if have != nil {
		v := k.verifier(have)
		return fact{
			index: index, kind: Statement, loose: true, leafHash: tlog.LeafHash(raw), raw: raw,
			signer: v, key: v.ID(),
		}
	}
	f := parse(index, raw)
	if f.kind == Statement {
		k.mu.Lock()
		if k.keys == nil || len(k.keys) >= maxKnown {
			k.keys = map[string]*knownKey{}
		}
		k.keys[string(raw[at:])] = &knownKey{v: f.signer}
		k.mu.Unlock()
	}
	return f
}

// verifier returns that of a key, with a table once that is worth its while.
func (k *known) verifier(have *knownKey) *key.Verifier {
	n := have.seen.Add(1)
	k.mu.RLock()
	v := have.v
	k.mu.RUnlock()
	if n != tableFrom {
		return v
	}
	pub, ok := v.Key().Crypto().(*ecdsa.PublicKey)
	if !ok {
		return v
	}
	table, err := p256.New(pub)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil && k.tables < maxTables {
		k.tables++
		have.v = v.WithECDSA(table)
	}
	return have.v
}

// tighten reads a loose entry that no envelope has shown to be a statement's.
func (e *fact) tighten() {
	if !e.loose || !e.envelope.IsZero() {
		return
	}
	if f := parse(e.index, e.raw); f.kind != Statement {
		*e = f
	}
}
