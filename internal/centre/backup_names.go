package centre

import (
	"path"
	"path/filepath"
	"slices"
	"strings"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/ledger"
	"vitrine.example/tlog"
)

// reserved are names at the top of a node's directory that no file of the
// configuration may have in a backup: the program's own, and those that a backup
// must never bring.
var reserved = []string{
	ConfigFile, logDir, logDir + ".restoring", contentDir, mirrorsDir, runDir, buildDir, clockFile, holdFile, witnessState,
	databaseMember, databaseMember + "-wal", databaseMember + "-shm", databaseMember + ".lock",
}

func isAgentKey(name string) bool { return strings.HasPrefix(name, agentPrefix) }

// isOwnFile reports whether a file that the configuration names belongs into a
// backup: a key, or the policy of witnesses, within the node's directory and apart
// from everything else there.
func isOwnFile(cfg *Config, name string) bool {
	if !filepath.IsLocal(filepath.FromSlash(name)) || path.Clean(name) != name {
		return false
	}
	top, rest, deep := strings.Cut(name, "/")
	if slices.Contains(reserved, top) || name == filepath.ToSlash(string(cfg.Database)) {
		return false
	}
	if deep && top == keysDir && strings.HasSuffix(rest, ".pem") && !strings.Contains(rest, "/") {
		return true
	}
	if retired, ok := strings.CutPrefix(name, retiredDir+"/"); ok {
		_, ok := parseRingName(retiredDir, retired)
		return ok
	}
	return slices.Contains([]string{
		cfg.WitnessPolicy, cfg.StatementKey, cfg.LogKey, cfg.LogMLDSAKey, cfg.WitnessKey, cfg.WitnessMLDSAKey, cfg.MirrorKey,
	}, filepath.FromSlash(name))
}

// isLogFile reports whether a backup has a file of this name of the log.
func isLogFile(name string) bool {
	if name == ledger.BackupCheckpoint || name == ledger.BackupCosigned {
		return true
	}
	t, err := tlog.ParseTilePath(name)
	return err == nil && t.Path() == name
}

// parseContentName reads <class>/<2 digits>/<64 digits>.
func parseContentName(name string) (d digest.Digest, ok bool) {
	class, rest, _ := strings.Cut(name, "/")
	shard, text, _ := strings.Cut(rest, "/")
	if _, err := content.ParseClass(class); err != nil {
		return d, false
	}
	d, err := digest.Parse(text)
	return d, err == nil && d.String() == text && shard == text[:2]
}
