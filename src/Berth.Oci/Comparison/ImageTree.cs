using System.Security.Cryptography;
using System.Text;
using Berth.Core.Errors;
using Berth.Oci.Layers;
using Berth.Oci.Tar;

namespace Berth.Oci.Comparison;

/// <summary>One file, folder or link of an image, as far as two of them are compared.</summary>
/// <param name="Content">SHA-256 of a file's content, the target of a link; empty for the rest.</param>
internal sealed record TreeNode(TarEntryKind Kind, uint Mode, long User, long Group, long Size, string Content);

/// <summary>
/// The files of an image as its layers one upon another make them, read from the layers' archives. Hard links are shown
/// as what they link to.
/// </summary>
internal sealed class ImageTree
{
    // Both trees of a comparison are in memory: names and digests of about 300 bytes each.
    private const int MostNodes = 300_000;

    private readonly SortedDictionary<string, TreeNode> nodes = new(StringComparer.Ordinal);

    public IReadOnlyDictionary<string, TreeNode> Nodes => nodes;

    /// <summary>Lays one more layer on top. Throws BerthException(ArchiveRefused).</summary>
    /// <param name="blob">The layer as stored; closed at the end.</param>
    public void Apply(Stream blob, CancellationToken cancellationToken)
    {
        using Stream plain = LayerDecoder.Open(blob);
        TarReader reader = new(new StreamTarInput(plain), TarLimits.Default);

        // A whiteout never touches what its own layer holds, whichever came first.
        HashSet<string> own = [];
        HashSet<string> hidden = [];
        while (reader.Read() is { } entry)
        {
            cancellationToken.ThrowIfCancellationRequested();
            EntryPath path = EntryPath.Parse(entry.Name, TarLimits.Default);
            if (path.IsRoot)
            {
                continue;
            }

            string parent = Encoding.UTF8.GetString(path.Parent);
            if (path.Name.SequenceEqual(LayerWhiteouts.OpaqueName))
            {
                hidden.Add(parent + "/");
            }
            else if (LayerWhiteouts.IsWhiteout(path.Name))
            {
                string name = Encoding.UTF8.GetString(path.Name[LayerWhiteouts.Prefix.Length..]);
                hidden.Add(parent.Length == 0 ? name : $"{parent}/{name}");
            }
            else
            {
                own.Add(Add(Encoding.UTF8.GetString(path.Bytes), entry, reader, hidden));
            }
        }

        Hide(hidden, own);
    }

    private string Add(string name, TarEntry entry, TarReader reader, HashSet<string> hidden)
    {
        TreeNode node = entry.Kind == TarEntryKind.HardLink
            && nodes.TryGetValue(Encoding.UTF8.GetString(entry.LinkTarget).TrimStart('.', '/'), out TreeNode? linked)
                ? linked
                : new TreeNode(
                    entry.Kind, entry.Mode & 0xFFF, entry.User, entry.Group, entry.Size, ContentOf(entry, reader));
        if (nodes.TryGetValue(name, out TreeNode? before) && before.Kind == TarEntryKind.Folder
            && node.Kind != TarEntryKind.Folder)
        {
            hidden.Add(name + "/");
        }

        nodes[name] = node;
        if (nodes.Count > MostNodes)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest, $"The image has more than {MostNodes} files, which are too many to compare.");
        }

        return name;
    }

    private static string ContentOf(TarEntry entry, TarReader reader)
    {
        if (entry.Kind != TarEntryKind.File)
        {
            return Encoding.UTF8.GetString(entry.LinkTarget);
        }

        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        for (ReadOnlySpan<byte> data = reader.ReadData(); !data.IsEmpty; data = reader.ReadData())
        {
            hash.AppendData(data);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>Takes away what is hidden, in one go over all names, however many are hidden.</summary>
    /// <param name="hidden">Names that go with all below them; with a slash at the end only what is below.</param>
    private void Hide(HashSet<string> hidden, HashSet<string> own)
    {
        if (hidden.Count == 0)
        {
            return;
        }

        foreach (string name in nodes.Keys.Where(n => !own.Contains(n) && IsHidden(n, hidden)).ToList())
        {
            nodes.Remove(name);
        }
    }

    private static bool IsHidden(string name, HashSet<string> hidden)
    {
        if (hidden.Contains(name) || hidden.Contains("/"))
        {
            return true;
        }

        for (int slash = name.LastIndexOf('/'); slash > 0; slash = name.LastIndexOf('/', slash - 1))
        {
            if (hidden.Contains(name[..slash]) || hidden.Contains(name[..(slash + 1)]))
            {
                return true;
            }
        }

        return false;
    }
}
