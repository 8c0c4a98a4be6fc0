using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Content;
using Berth.Oci.Images;
using Berth.Oci.Tar;

namespace Berth.Oci.Comparison;

public enum FileChange
{
    Added,
    Changed,
    Deleted,
}

/// <summary>A file that is another in the second image.</summary>
/// <param name="Size">Bytes in the second image; in the first for a deleted file.</param>
public sealed record FileDifference(FileChange Change, string Path, long Size);

/// <summary>
/// Compares images file by file: kind, mode, owner, content or target; times don't count, because every build changes
/// them. Reads the layers' archives, so that images of any platform can be compared.
/// </summary>
public sealed class ImageComparison(IContentStore content)
{
    /// <summary>What must be added to, changed in and deleted from the one to get the other, by path.</summary>
    /// <param name="from">Layers of the one, lowest first; none for an empty image.</param>
    /// <param name="to">Layers of the other.</param>
    public IReadOnlyList<FileDifference> Compare(
        IReadOnlyList<Descriptor> from, IReadOnlyList<Descriptor> to, CancellationToken cancellationToken)
    {
        // Held, so that the collector takes none while it is read.
        using IDisposable lease = content.Lease(from.Concat(to).Select(d => d.Digest));
        IReadOnlyDictionary<string, TreeNode> before = Read(from, cancellationToken).Nodes;
        IReadOnlyDictionary<string, TreeNode> after = Read(to, cancellationToken).Nodes;
        List<FileDifference> found = [];
        foreach ((string path, TreeNode node) in after)
        {
            if (!before.TryGetValue(path, out TreeNode? was))
            {
                found.Add(new FileDifference(FileChange.Added, path, SizeOf(node)));
            }
            else if (was != node)
            {
                found.Add(new FileDifference(FileChange.Changed, path, SizeOf(node)));
            }
        }

        found.AddRange(before.Where(b => !after.ContainsKey(b.Key))
            .Select(b => new FileDifference(FileChange.Deleted, b.Key, SizeOf(b.Value))));
        return [.. found.OrderBy(f => f.Path, StringComparer.Ordinal)];
    }

    private static long SizeOf(TreeNode node) => node.Kind == TarEntryKind.File ? node.Size : 0;

    private ImageTree Read(IReadOnlyList<Descriptor> layers, CancellationToken cancellationToken)
    {
        ImageTree tree = new();
        foreach (Descriptor layer in layers)
        {
            if (content.SizeOf(layer.Digest) is null)
            {
                throw new BerthException(
                    ErrorCode.BlobUnknown, $"The layer {layer.Digest} is not here, so the image can't be compared.");
            }

            tree.Apply(content.OpenRead(layer.Digest), cancellationToken);
        }

        return tree;
    }
}
