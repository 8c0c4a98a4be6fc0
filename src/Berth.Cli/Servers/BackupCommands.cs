using System.CommandLine;
using Berth.Commands;
using Berth.Commands.Contexts;
using Berth.Commands.Servers;
using Berth.Commands.Terminals;
using Berth.Core.Errors;
using Berth.Core.Resources;
using Berth.Oci.Content;
using Berth.Server.Backups;

namespace Berth.Cli.Servers;

/// <summary><c>berth backup</c>: all that a running server keeps, as one file.</summary>
internal sealed class BackupCommand : Verb
{
    private readonly Argument<string> file = new("file") { Description = "File to write; - for standard output" };

    private readonly QuietOption quiet = new("No progress");

    public BackupCommand()
        : base(
            "backup", ServerPart.Backup,
            new("berth backup berth.tar", "To a file, which holds tokens too: keep it safe"),
            new("berth backup - | gzip | ssh store 'cat > berth.tar.gz'", "To another machine, compressed"))
    {
        Add(file);
        Add(quiet);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        string path = session.Get(file);
        if (path == "-")
        {
            if (session.Terminal.OutputIsTerminal)
            {
                throw new BerthException(
                    ErrorCode.InvalidRequest,
                    "A backup is not written to a terminal: name a file, or redirect the output.");
            }

            await WriteAsync(session, session.Terminal.Output, cancellationToken);
            return 0;
        }

        // Under another name until it is whole and on the disk: half a backup never looks like one.
        string temporary = path + ".part";
        try
        {
            await using (FileStream output = new(temporary, new FileStreamOptions
            {
                Mode = FileMode.Create,
                Access = FileAccess.Write,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            }))
            {
                await WriteAsync(session, output, cancellationToken);
                output.Flush();
                DurableFile.SyncData(output.SafeFileHandle, output.Name);
            }

            File.Move(temporary, path, overwrite: true);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }

        return 0;
    }

    private async Task WriteAsync(Session session, Stream output, CancellationToken cancellationToken)
    {
        using ProgressLine line = new(session.Terminal, session.Get(quiet));
        long bytes = await session.Client.BackupAsync(
            output, count => line.Show("backing up", count, null), cancellationToken);
        line.Finish($"backed up {ByteSize.FromBytes(bytes)}");
    }
}

/// <summary><c>berth restore</c>: a data folder from a backup, for a server that is not running.</summary>
internal sealed class RestoreCommand : Verb
{
    private readonly Argument<string> file = new("file") { Description = "Backup to read; - for standard input" };

    private readonly Option<string?> data = new("--data")
    {
        HelpName = "PATH",
        Description = $"Empty folder to restore into (else BERTH_DATA, else {ServerTarget.DefaultDataFolder})",
    };

    private readonly QuietOption quiet = new("No progress");

    public RestoreCommand()
        : base(
            "restore", ServerPart.Restore,
            new("berth restore berth.tar", "Into the usual folder, which must be empty; then start the server"),
            new("gunzip < berth.tar.gz | berth restore - --data ./data", "Into another folder"))
    {
        Add(file);
        Add(data);
        Add(quiet);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        string path = session.Get(file);
        string folder = session.Get(data) ?? session.Terminal.Variable("BERTH_DATA") ?? ServerTarget.DefaultDataFolder;
        await using Stream backup = path == "-" ? session.Terminal.OpenInput() : Open(path);
        using ProgressLine line = new(session.Terminal, session.Get(quiet));
        DateTimeOffset made = await BackupRestore.RestoreAsync(
            backup, folder, count => line.Show("restoring", count, null), cancellationToken);
        line.Finish($"{folder} is as it was at {made:u}");
        return 0;
    }

    private static FileStream Open(string path)
    {
        try
        {
            return File.OpenRead(path);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new BerthException(ErrorCode.NotFound, $"There is no file '{path}'.", e);
        }
    }
}
