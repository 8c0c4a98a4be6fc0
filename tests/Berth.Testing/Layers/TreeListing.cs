using System.Text;
using Berth.Oci.Unix;

namespace Berth.Testing.Layers;

/// <summary>A folder's content as lines of text, sorted, so that a test can say what it expects to see.</summary>
public static class TreeListing
{
    /// <summary>
    /// <c>d 0755 0:0 bin</c>, <c>f 4755 0:0 bin/su = content</c>, <c>l 0:0 sh -> bin/bash</c>, <c>whiteout etc/x</c>,
    /// and what else there is by its kind. Attributes follow in brackets.
    /// </summary>
    public static List<string> Of(string path)
    {
        using UnixFolder root = UnixFolder.Open(path);
        var lines = new List<string>();
        Add(root, "", lines);
        return lines;
    }

    private static void Add(UnixFolder folder, string path, List<string> lines)
    {
        foreach (
            byte[] name in folder.ReadNames().OrderBy(
                n => n, Comparer<byte[]>.Create((a, b) => a.AsSpan().SequenceCompareTo(b))))
        {
            _ = folder.TryStatus(name, out NodeStatus status);
            string full = path + Encoding.Latin1.GetString(name);
            string owner = $"{status.User}:{status.Group}";
            string mode = Convert.ToString(status.Mode, 8).PadLeft(4, '0');
            switch (status.Kind)
            {
                case NodeKind.Folder:
                    _ = folder.TryOpenFolder(name, out UnixFolder? child);
                    using (child)
                    {
                        lines.Add($"d {mode} {owner} {full}{Attributes(child!.Handle)}");
                        Add(child, full + "/", lines);
                    }

                    break;
                case NodeKind.File:
                    lines.Add($"f {mode} {owner} {full} = {Content(folder, name, out string attributes)}{attributes}");
                    break;
                case NodeKind.SymbolicLink:
                    lines.Add($"l {owner} {full} -> {Encoding.UTF8.GetString(folder.ReadLink(name))}");
                    break;
                case NodeKind.CharacterDevice when status is { DeviceMajor: 0, DeviceMinor: 0 }:
                    lines.Add($"whiteout {full}");
                    break;
                default:
                    lines.Add($"{status.Kind} {full}");
                    break;
            }
        }
    }

    private static string Content(UnixFolder folder, byte[] name, out string attributes)
    {
        _ = folder.TryOpenFile(name, out int descriptor);
        try
        {
            byte[] buffer = new byte[100];
            int count = UnixFile.Read(descriptor, buffer, "file");
            attributes = Attributes(descriptor);
            return Encoding.UTF8.GetString(buffer, 0, count);
        }
        finally
        {
            UnixFile.Close(descriptor, "file");
        }
    }

    private static string Attributes(int descriptor)
    {
        IEnumerable<string> texts = UnixFile.ListXattrs(descriptor, "node").Order(StringComparer.Ordinal)
            .Select(n => $"{n}={Encoding.UTF8.GetString(UnixFile.GetXattr(descriptor, n)!)}");
        string all = string.Join(' ', texts);
        return all.Length == 0 ? "" : $" [{all}]";
    }
}
