using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Berth.Core.Errors;

namespace Berth.Commands.Images;

/// <summary>
/// What buildah is told about this server for one build, in files that only this user can read: the command's own token
/// and, where the server has no TLS, that it has none. What the user has set for other registries holds as before.
/// </summary>
/// <param name="General">Options of buildah itself.</param>
/// <param name="Login">Options of its commands that talk to registries.</param>
internal sealed record BuildahAccess(IReadOnlyList<string> General, IReadOnlyList<string> Login)
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private static readonly string[] Mergeable = ["auths", "credHelpers"];

    public static BuildahAccess Write(Session session, string folder)
    {
        Uri address = session.Target.Address;
        List<string> general = [];
        List<string> login = [];
        if (address.Scheme == Uri.UriSchemeHttp && RegistriesOf(session, address.Authority) is { } registries)
        {
            general.AddRange(["--registries-conf", Write(folder, "registries.conf", registries)]);
        }

        if (session.Target.Token is { } token)
        {
            JsonObject logins = LoginsOf(session);
            logins["auths"]![address.Authority] = new JsonObject
            {
                ["auth"] = Convert.ToBase64String(Encoding.UTF8.GetBytes("berth:" + token)),
            };
            login.AddRange(["--authfile", Write(folder, "auth.json", logins.ToJsonString())]);
        }

        return new BuildahAccess(general, login);
    }

    private static string Write(string folder, string name, string content)
    {
        string path = Path.Combine(folder, name);
        using StreamWriter file = new(new FileStream(
            path, new FileStreamOptions
            {
                Mode = FileMode.CreateNew,
                Access = FileAccess.Write,
                UnixCreateMode = OwnerOnly,
            }));
        file.Write(content);
        return path;
    }

    /// <summary>The file in force (containers-registries.conf(5)) with this server added; null where it has the server
    /// already.</summary>
    private static string? RegistriesOf(Session session, string authority)
    {
        string?[] places =
        [
            session.Terminal.Variable("CONTAINERS_REGISTRIES_CONF"),
            session.Terminal.Variable("HOME") + "/.config/containers/registries.conf",
            "/etc/containers/registries.conf",
        ];
        string? inForce = places.FirstOrDefault(File.Exists);
        string before = inForce is null ? "" : File.ReadAllText(inForce);
        return before.Contains($"\"{authority}\"", StringComparison.Ordinal)
            ? null
            : $"{before}\n[[registry]]\nlocation = \"{authority}\"\ninsecure = true\n";
    }

    /// <summary>The logins in force (containers-auth.json(5)): all of them, because a file that is named on the command
    /// line is the only one that is read.</summary>
    private static JsonObject LoginsOf(Session session)
    {
        JsonObject logins = new() { ["auths"] = new JsonObject() };
        string home = session.Terminal.Variable("HOME") ?? "";
        string runtime = session.Terminal.Variable("XDG_RUNTIME_DIR") is { Length: > 0 } folder
            ? folder + "/containers/auth.json"
            : "/run/containers/0/auth.json";
        // Those that count more come later.
        string[] places = session.Terminal.Variable("REGISTRY_AUTH_FILE") is { Length: > 0 } only
            ? [only]
            : [home + "/.docker/config.json", home + "/.config/containers/auth.json", runtime];
        foreach (string place in places.Where(File.Exists))
        {
            JsonObject read = Read(place);
            foreach (string member in Mergeable)
            {
                foreach ((string host, JsonNode? login) in read[member] as JsonObject ?? [])
                {
                    logins[member] ??= new JsonObject();
                    logins[member]![host] = login?.DeepClone();
                }
            }
        }

        return logins;
    }

    private static JsonObject Read(string path)
    {
        try
        {
            return JsonNode.Parse(File.ReadAllText(path)) as JsonObject ?? [];
        }
        catch (Exception e) when (e is JsonException or UnauthorizedAccessException)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest,
                $"The logins of registries in {path} can't be read: {e.Message} Mend the file, or remove it.");
        }
    }
}
