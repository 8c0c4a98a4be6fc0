using System.Globalization;
using System.Text;

namespace Berth.Init.Files;

/// <summary>What there is at a path, as one JSON object.</summary>
internal static class PathDescription
{
    public static string Of(string path)
    {
        FileSystemInfo found = Find(path);
        string kind = found.LinkTarget is not null ? "link"
            : found is DirectoryInfo ? "folder"
            : (found.Attributes & FileAttributes.Device) != 0 ? "other"
            : "file";
        long size = kind == "file" ? ((FileInfo)found).Length : 0;
        StringBuilder text = new();
        text.Append("{\"name\":");
        Quote(text, found.Name.Length == 0 ? "/" : found.Name);
        text.Append(CultureInfo.InvariantCulture, $",\"kind\":\"{kind}\",\"size\":{size}");
        text.Append(CultureInfo.InvariantCulture, $",\"mode\":{(int)found.UnixFileMode}");
        text.Append(
            CultureInfo.InvariantCulture, $",\"modifiedAt\":\"{found.LastWriteTimeUtc:yyyy-MM-ddTHH:mm:ss.fffffffZ}\"");
        if (found.LinkTarget is { } target)
        {
            text.Append(",\"linkTarget\":");
            Quote(text, target);
        }

        return text.Append('}').ToString();
    }

    /// <summary>Throws where there is nothing. A link is found itself, unless the path ends in a slash.</summary>
    public static FileSystemInfo Find(string path)
    {
        string clean = path.Length > 1 && !path.EndsWith('/') ? path : path.TrimEnd('/') is "" ? "/" : path;
        FileInfo file = new(clean.Length > 1 ? clean.TrimEnd('/') : clean);
        if (file.LinkTarget is not null && !path.EndsWith('/'))
        {
            return file;
        }

        return Directory.Exists(clean) ? new DirectoryInfo(clean)
            : File.Exists(clean) && !path.EndsWith('/') ? file
            : throw new FileToolException($"There is no such file or folder: {path}");
    }

    private static void Quote(StringBuilder text, string value)
    {
        text.Append('"');
        foreach (char c in value)
        {
            _ = c switch
            {
                '"' or '\\' => text.Append('\\').Append(c),
                < ' ' or '\u007f' => text.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}"),
                _ => text.Append(c),
            };
        }

        text.Append('"');
    }
}
