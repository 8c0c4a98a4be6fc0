using System.CommandLine;
using System.Globalization;
using Berth.Commands;
using Berth.Commands.Contexts;
using Berth.Commands.Output;
using Berth.Commands.Servers;
using Berth.Core.Errors;
using Berth.Server.Store.Postgres;
using Microsoft.Extensions.Logging.Abstractions;

namespace Berth.Cli.Servers;

/// <summary><c>berth store</c>: where a server keeps its records.</summary>
internal static class StoreCommands
{
    public static Noun All() => new(
        "store", ServerPart.Store,
        [
            new(
                "berth store migrate --to postgres://berth@db.example.org/berth --password-file ./pw",
                "Move the records of the usual data folder to PostgreSQL"),
        ],
        new StoreMigrateCommand());
}

internal sealed class StoreMigrateCommand : Verb
{
    private readonly Option<string?> from = new("--from")
    {
        HelpName = "PATH",
        Description = "Data folder of a server that is not running (else BERTH_DATA, else "
            + $"{ServerTarget.DefaultDataFolder})",
    };

    private readonly Option<string?> to = new("--to")
    {
        HelpName = "ADDRESS",
        Description = "Database such as postgres://USER:PASSWORD@HOST/DATABASE (else BERTH_STORE)",
    };

    private readonly Option<string?> password = new("--password-file")
    {
        HelpName = "PATH",
        Description = "File with the password, which others can read on a command line",
    };

    public StoreMigrateCommand()
        : base(
            "migrate", "Move the records of a data folder into a PostgreSQL database; all of them or none",
            new Example(
                "berth store migrate --from ./data --to postgres://berth@db.example.org/berth --password-file ./pw",
                "What is there already stays; done twice, the second time moves nothing"))
    {
        Add(from);
        Add(to);
        Add(password);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        string folder = session.Get(from) ?? session.Terminal.Variable("BERTH_DATA") ?? ServerTarget.DefaultDataFolder;
        IReadOnlyList<MovedTable> tables = await StoreMigration.MoveAsync(
            Path.GetFullPath(folder), AddressOf(session), session.Terminal.Time,
            NullLoggerFactory.Instance, cancellationToken);
        Table table = new(new Column("RECORDS"), new Column("FOUND", Right: true), new Column("MOVED", Right: true));
        foreach (MovedTable moved in tables.Where(t => t.Found > 0))
        {
            table.Add(
                moved.Name, moved.Found.ToString(CultureInfo.InvariantCulture),
                moved.Moved.ToString(CultureInfo.InvariantCulture));
        }

        table.Write(session.Terminal);
        return 0;
    }

    private PostgresAddress AddressOf(Session session)
    {
        string text = session.Get(to) ?? session.Terminal.Variable("BERTH_STORE") ?? throw new BerthException(
            ErrorCode.InvalidRequest,
            "Name the database with --to or BERTH_STORE: postgres://USER:PASSWORD@HOST/DATABASE");
        if (!PostgresAddress.TryParse(text, out PostgresAddress? address, out string? problem))
        {
            throw new BerthException(
                ErrorCode.InvalidRequest, $"The address of the database can't be used: {problem}.");
        }

        return session.Get(password) is { } file ? address.WithPasswordFile(file) : address;
    }
}
