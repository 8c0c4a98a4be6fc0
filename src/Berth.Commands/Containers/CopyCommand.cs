using System.CommandLine;
using System.Formats.Tar;
using Berth.Api.Client;
using Berth.Api.Containers;
using Berth.Commands.Terminals;
using Berth.Core.Errors;

namespace Berth.Commands.Containers;

/// <summary><c>berth cp</c>: files into and out of containers, by docker's rules for what lands where.</summary>
internal sealed class CopyCommand : Verb
{
    private readonly Argument<string> source = new("source")
    {
        Description = "CONTAINER:PATH, a path here, or - for a tar archive from standard input",
    };

    private readonly Argument<string> target = new("target")
    {
        Description = "CONTAINER:PATH, a path here, or - for a tar archive to standard output",
    };

    public CopyCommand()
        : base(
            "cp", "Copy files between a container and here; it need not run",
            new("berth cp web:/srv/index.html .", "Out of it"),
            new("berth cp site/. web:/srv", "What is in a folder, into it"),
            new("berth cp web:/srv - | tar -t", "As an archive"))
    {
        Add(source);
        Add(target);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        (string? Container, string Path) from = Split(session.Get(source));
        (string? Container, string Path) to = Split(session.Get(target));
        switch (from.Container, to.Container)
        {
            case ({ } container, null):
                await OutAsync(session, container, from.Path, to.Path, cancellationToken);
                return 0;
            case (null, { } container):
                await InAsync(session, from.Path, container, to.Path, cancellationToken);
                return 0;
            case (null, null):
                throw new BerthException(
                    ErrorCode.InvalidRequest, "One of the two must be in a container: write CONTAINER:PATH.");
            default:
                throw new BerthException(
                    ErrorCode.InvalidRequest, "Only one of the two can be in a container: copy by way of here.");
        }
    }

    /// <summary>A name before the first ':', unless it has a '/' and so is a path.</summary>
    private static (string? Container, string Path) Split(string text)
    {
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        if (colon <= 0 || text[..colon].Contains('/', StringComparison.Ordinal) || text[0] == '.')
        {
            return (null, text);
        }

        string path = text[(colon + 1)..];
        return (text[..colon], path.StartsWith('/') ? path : "/" + path);
    }

    private static async Task OutAsync(
        Session session, string container, string path, string local, CancellationToken cancellationToken)
    {
        if (local == "-")
        {
            await using Stream whole = await session.Client.Containers.OpenArchiveAsync(
                container, path, cancellationToken);
            await whole.CopyToAsync(session.Terminal.Output, cancellationToken);
            return;
        }

        bool contents = path.EndsWith("/.", StringComparison.Ordinal);
        string plain = contents ? path[..^1] : path;
        PathView found = await session.Client.Containers.StatPathAsync(container, plain, cancellationToken);
        ArchiveTarget place = ArchiveTarget.For(local, found, contents);
        await using Stream archive = await session.Client.Containers.OpenArchiveAsync(
            container, plain, cancellationToken);
        await place.UnpackAsync(archive, cancellationToken);
    }

    private static async Task InAsync(
        Session session, string local, string container, string path, CancellationToken cancellationToken)
    {
        if (local == "-")
        {
            await using Stream archive = session.Terminal.OpenInput();
            await session.Client.Containers.WriteArchiveAsync(
                container, path, (output, token) => archive.CopyToAsync(output, token), cancellationToken);
            return;
        }

        bool contents = local.EndsWith("/.", StringComparison.Ordinal);
        FileSystemInfo found = Directory.Exists(local) ? new DirectoryInfo(local)
            : File.Exists(local) ? new FileInfo(local)
            : throw new BerthException(ErrorCode.InvalidRequest, $"There is no '{local}' here.");
        (string folder, string name) = await PlaceAsync(
            session, container, path, found, contents, cancellationToken);
        await session.Client.Containers.WriteArchiveAsync(
            container, folder, (output, token) => PackAsync(found, name, output, token), cancellationToken);
    }

    /// <summary>The folder to unpack in, and what the copy is called there; empty for what is in a folder.</summary>
    private static async Task<(string Folder, string Name)> PlaceAsync(
        Session session, string container, string path, FileSystemInfo found, bool contents,
        CancellationToken cancellationToken)
    {
        PathView? there = null;
        try
        {
            there = await session.Client.Containers.StatPathAsync(
                container, path.TrimEnd('/') + "/", cancellationToken);
        }
        catch (BerthException refusal) when (refusal.Code == ErrorCode.NotFound)
        {
            // It will be made.
        }

        if (there?.Kind == "folder")
        {
            return (path, contents ? "" : found.Name);
        }

        if (path.EndsWith('/') && found is FileInfo)
        {
            throw new BerthException(ErrorCode.InvalidRequest, $"There is no folder {path} in the container.");
        }

        string trimmed = path.TrimEnd('/');
        int slash = trimmed.LastIndexOf('/');
        return (slash <= 0 ? "/" : trimmed[..slash], trimmed[(slash + 1)..]);
    }

    private static async Task PackAsync(
        FileSystemInfo found, string name, Stream output, CancellationToken cancellationToken)
    {
        await using TarWriter writer = new(output, TarEntryFormat.Pax, leaveOpen: true);
        if (found is FileInfo file)
        {
            await writer.WriteEntryAsync(file.FullName, name, cancellationToken);
            return;
        }

        if (name.Length > 0)
        {
            await writer.WriteEntryAsync(found.FullName, name + "/", cancellationToken);
        }

        await PackAsync((DirectoryInfo)found, name, writer, cancellationToken);
    }

    private static async Task PackAsync(
        DirectoryInfo folder, string prefix, TarWriter writer, CancellationToken cancellationToken)
    {
        foreach (FileSystemInfo entry in folder.EnumerateFileSystemInfos().OrderBy(e => e.Name, StringComparer.Ordinal))
        {
            string name = prefix.Length == 0 ? entry.Name : $"{prefix}/{entry.Name}";
            bool isFolder = entry is DirectoryInfo && entry.LinkTarget is null;
            await writer.WriteEntryAsync(entry.FullName, isFolder ? name + "/" : name, cancellationToken);
            if (isFolder)
            {
                await PackAsync((DirectoryInfo)entry, name, writer, cancellationToken);
            }
        }
    }
}
