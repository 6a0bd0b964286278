package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	xtlog "golang.org/x/mod/sumdb/tlog"

	"vitrine.example/digest"
	"vitrine.example/internal/centre"
	"vitrine.example/internal/content"
	"vitrine.example/internal/store"
	"vitrine.example/key"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// origin is that of the node that is made.
const origin = "127.0.0.1"

// testResult is a predicate of the field, as small as it may be.
type testResult struct {
	Result string `json:"result"`
}

func (testResult) PredicateType() string              { return "https://in-toto.io/attestation/test-result/v0.1" }
func (testResult) Validate([]statement.Subject) error { return nil }

// signed is what the bare verifying needs of a statement.
type signed struct{ pae, sig []byte }

// material is a node with a log of statements, as if they had been released on it.
type material struct {
	dir    string
	listen string
	signer *key.Signer
	sample []signed
	hashes []xtlog.Hash // stored, as package tlog numbers them
	size   int64
}

// makeNode makes a node and fills it, without the syncs that a node does. One
// that is there is taken as it is.
func makeNode(ctx context.Context, dir, algorithm string, n, everyRelease int64) (*material, error) {
	if made, err := os.ReadFile(filepath.Join(dir, "log", "checkpoint")); err == nil {
		return usedNode(dir, made, everyRelease)
	}
	listen, err := freeAddress()
	if err != nil {
		return nil, err
	}
	err = centre.Init(ctx, dir, centre.InitOptions{
		URL: "http://" + listen, Listen: listen, Algorithm: algorithm,
	})
	if err != nil {
		return nil, err
	}
	m := &material{dir: dir, listen: listen}
	if err := m.readKey(); err != nil {
		return nil, err
	}
	db, err := store.Open(ctx, filepath.Join(dir, "vitrine.db"))
	if err != nil {
		return nil, err
	}
	defer db.Close() //nolint:errcheck // read again by the node
	if _, err := content.Open(filepath.Join(dir, "content")); err != nil {
		return nil, err
	}
	for m.size < n {
		if err := m.bundle(ctx, db, min(n-m.size, tlog.TileWidth), everyRelease); err != nil {
			return nil, err
		}
	}
	return m, m.finish()
}

func (m *material) readKey() error {
	private, err := key.ReadPrivateFile(filepath.Join(m.dir, "keys", "statement.pem"))
	if err != nil {
		return err
	}
	m.signer, err = key.NewSigner(private)
	return err
}

// usedNode is the material of a node that was made before.
func usedNode(dir string, checkpoint []byte, everyRelease int64) (*material, error) {
	c, err := tlog.ParseCheckpoint(checkpoint)
	if err != nil {
		return nil, err
	}
	conf, err := centre.LoadConfig(dir)
	if err != nil {
		return nil, err
	}
	m := &material{dir: dir, listen: conf.Listen, size: c.Size}
	if err := m.readKey(); err != nil {
		return nil, err
	}
	for i := range min(m.size, sampleSize) {
		env, _, err := m.statement(i, everyRelease)
		if err != nil {
			return nil, err
		}
		m.take(env)
	}
	return m, nil
}

// sampleSize is how many statements the bare verifying is done with.
const sampleSize = 20_000

// take adds the statement to the sample while that is not large enough.
func (m *material) take(env *statement.Envelope) {
	if len(m.sample) < sampleSize {
		m.sample = append(m.sample, signed{statement.PAE(statement.PayloadType, env.Payload()), env.Signature()})
	}
}

// bundle adds statements and the files of the log that they fill.
func (m *material) bundle(ctx context.Context, db *store.DB, width, everyRelease int64) error {
	var raw []byte
	var leaves, envelopes [][]byte
	made, err := m.statements(width, everyRelease)
	if err != nil {
		return err
	}
	for i := range width {
		env, leaf := made[i].env, made[i].leaf
		m.take(env)
		d := env.Digest()
		h := tlog.LeafHash(leaf)
		leaves, envelopes = append(leaves, h[:]), append(envelopes, d[:])
		raw = binary.BigEndian.AppendUint16(raw, uint16(len(leaf)))
		raw = append(raw, leaf...)
		hs, err := xtlog.StoredHashesForRecordHash(m.size+i, h, m)
		if err != nil {
			return err
		}
		m.hashes = append(m.hashes, hs...)
	}
	t := tlog.Tile{Level: tlog.EntriesLevel, Index: m.size / tlog.TileWidth, Width: int(width)}
	if err := m.file(t.Path(), raw); err != nil {
		return err
	}
	first := m.size
	m.size += width
	return db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		for i := range leaves {
			if _, err := tx.ExecContext(ctx, `INSERT INTO submission (leaf_hash, envelope, idx) VALUES ($1, $2, $3)`,
				leaves[i], envelopes[i], first+int64(i)); err != nil {
				return err
			}
		}
		return nil
	})
}

// entry is a statement and what the log holds of it.
type entry struct {
	env  *statement.Envelope
	leaf []byte
}

// statements makes the next statements and puts them into the content store, on
// all processors.
func (m *material) statements(width, everyRelease int64) ([]entry, error) {
	made := make([]entry, width)
	workers := int64(runtime.GOMAXPROCS(0))
	errs := make([]error, workers)
	var work sync.WaitGroup
	for w := range workers {
		work.Go(func() {
			for i := w; i < width && errs[w] == nil; i += workers {
				if made[i].env, made[i].leaf, errs[w] = m.statement(m.size+i, everyRelease); errs[w] == nil {
					errs[w] = m.put(made[i].env)
				}
			}
		})
	}
	work.Wait()
	return made, errors.Join(errs...)
}

// statement signs the statement for an index: one in every so many is a release.
func (m *material) statement(i, everyRelease int64) (*statement.Envelope, []byte, error) {
	sum := digest.Of(fmt.Append(nil, "artifact ", i))
	subject := []statement.Subject{{Name: fmt.Sprintf("app-%d.tar.gz", i), Digest: map[string]string{"sha256": sum.String()}}}
	var p statement.Predicate = testResult{"PASSED"}
	if i%everyRelease == 0 {
		p = &statement.Release{
			Product: fmt.Sprintf("pkg:generic/app-%d", i%1000), Version: fmt.Sprintf("1.%d.0", i),
			Published: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * time.Second),
			Artifacts: []statement.Artifact{{Name: subject[0].Name, Size: 1000 + i, SHA256: sum}},
		}
	}
	s, err := statement.New(subject, p)
	if err != nil {
		return nil, nil, err
	}
	env, err := statement.Sign(s, m.signer)
	if err != nil {
		return nil, nil, err
	}
	leaf, err := env.Leaf(m.signer.Public())
	return env, leaf, err
}

// put writes a statement where the content store keeps it.
func (m *material) put(env *statement.Envelope) error {
	name := env.Digest().String()
	dir := filepath.Join(m.dir, "content", "public", name[:2])
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name), env.Bytes(), 0o400)
}

func (m *material) file(name string, b []byte) error {
	path := filepath.Join(m.dir, "log", filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}

// ReadHashes implements tlog.HashReader.
func (m *material) ReadHashes(indexes []int64) ([]xtlog.Hash, error) {
	out := make([]xtlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = m.hashes[x]
	}
	return out, nil
}

// finish writes the tiles of hashes, the tree state and the checkpoint.
func (m *material) finish() error {
	for level := 0; m.size>>(8*level) > 0; level++ {
		width := m.size >> (8 * level)
		for index := int64(0); index*tlog.TileWidth < width; index++ {
			n := min(width-index*tlog.TileWidth, tlog.TileWidth)
			var b []byte
			for i := range n {
				h := m.hashes[xtlog.StoredHashIndex(8*level, index*tlog.TileWidth+i)]
				b = append(b, h[:]...)
			}
			t := tlog.Tile{Level: level, Index: index, Width: int(n)}
			if err := m.file(t.Path(), b); err != nil {
				return err
			}
		}
	}
	root, err := xtlog.TreeHash(m.size, m)
	if err != nil {
		return err
	}
	m.hashes = nil
	state, err := json.Marshal(map[string]any{"size": m.size, "root": root[:]})
	if err != nil {
		return err
	}
	if err := m.file(".state/treeState", state); err != nil {
		return err
	}
	if err := m.file(".state/version", []byte("1")); err != nil {
		return err
	}
	return m.checkpoint(root)
}

func (m *material) checkpoint(root xtlog.Hash) error {
	private, err := key.ReadPrivateFile(filepath.Join(m.dir, "keys", "log.pem"))
	if err != nil {
		return err
	}
	s, err := tlog.NewSigner(origin, tlog.Ed25519, private, nil)
	if err != nil {
		return err
	}
	c := tlog.Checkpoint{Origin: origin, Size: m.size, Root: root}
	sig, err := s.SignCheckpoint(c)
	if err != nil {
		return err
	}
	signed := &tlog.SignedCheckpoint{Checkpoint: c, Signatures: []tlog.Signature{sig}}
	return m.file("checkpoint", signed.Marshal())
}
