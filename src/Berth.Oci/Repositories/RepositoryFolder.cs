using Berth.Core.Images;

namespace Berth.Oci.Repositories;

/// <summary>
/// Where things lie in a repository's folder. Components of a repository's name never start with an underscore, so
/// these names can't clash with a repository below. A digest is written <c>sha256-…</c> in a file name.
/// </summary>
internal sealed class RepositoryFolder(string path)
{
    private const string ManifestsName = "_manifests";
    private const string BlobsName = "_blobs";

    public string Tags { get; } = Path.Combine(path, "_tags");

    public string Manifests { get; } = Path.Combine(path, ManifestsName);

    public string Blobs { get; } = Path.Combine(path, BlobsName);

    private string Referrers { get; } = Path.Combine(path, "_referrers");

    private string Upstream { get; } = Path.Combine(path, "_upstream");

    public string Tag(string tag) => Path.Combine(Tags, tag);

    public string Manifest(Digest digest) => Path.Combine(Manifests, NameOf(digest));

    public string Blob(Digest digest) => Path.Combine(Blobs, NameOf(digest));

    public string ReferrersOf(Digest subject) => Path.Combine(Referrers, NameOf(subject));

    public string Referrer(Digest subject, Digest manifest) => Path.Combine(ReferrersOf(subject), NameOf(manifest));

    /// <summary>What upstream says that refers to a manifest.</summary>
    public string UpstreamReferrers(Digest subject) => Path.Combine(Upstream, NameOf(subject));

    /// <summary>Deletes what a killed writer left. Nobody may be writing.</summary>
    public void RemoveTemporary()
    {
        foreach (string parent in (string[])[Tags, Manifests, Referrers, Upstream])
        {
            // What the kernel calls hidden is skipped by default.
            EnumerationOptions all = new() { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.None };
            foreach (string file in Directory.Exists(parent) ? Directory.EnumerateFiles(parent, ".*", all) : [])
            {
                File.Delete(file);
            }
        }
    }

    /// <summary>Names of the repositories below a root, in no order.</summary>
    public static IEnumerable<string> FindNames(string root)
    {
        Stack<string> folders = new([root]);
        while (folders.TryPop(out string? current))
        {
            bool isRepository = false;
            foreach (string child in Directory.EnumerateDirectories(current))
            {
                string name = Path.GetFileName(child);
                if (name is ManifestsName or BlobsName)
                {
                    isRepository = true;
                }
                else if (!name.StartsWith('_'))
                {
                    folders.Push(child);
                }
            }

            string repository = Path.GetRelativePath(root, current);
            if (isRepository && ImageReference.IsRepository(repository))
            {
                yield return repository;
            }
        }
    }

    /// <summary>Files of a folder that are not temporary, by name; empty when the folder is missing.</summary>
    public static IEnumerable<FileInfo> FilesOf(string folder) => Directory.Exists(folder)
        ? new DirectoryInfo(folder).EnumerateFiles().Where(f => !f.Name.StartsWith('.'))
        : [];

    public static bool TryParse(string fileName, out Digest digest)
    {
        int dash = fileName.IndexOf('-', StringComparison.Ordinal);
        digest = default;
        return dash > 0 && Digest.TryParse($"{fileName[..dash]}:{fileName[(dash + 1)..]}", out digest);
    }

    private static string NameOf(Digest digest) => $"{digest.Algorithm}-{digest.Hex}";
}
