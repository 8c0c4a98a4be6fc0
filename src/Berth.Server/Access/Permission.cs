using System.Collections.Frozen;

namespace Berth.Server.Access;

/// <summary>One thing a caller may or may not do. Every route needs exactly one of these.</summary>
public enum Permission
{
    /// <summary>Open to everybody, without a token.</summary>
    Open,

    /// <summary>Any valid token.</summary>
    Authenticated,

    /// <summary>Start calls and tasks.</summary>
    RunCreate,

    /// <summary>See runs, their results, logs and events.</summary>
    RunRead,

    RunCancel,
    ImageRead,

    /// <summary>Copy images in and out, by the server's own pulls and pushes.</summary>
    ImageWrite,

    ImageDelete,

    /// <summary>Run garbage collection now.</summary>
    ImageCollect,

    NodeRead,
    TokenManage,

    /// <summary>Read metrics; open where the operator says so.</summary>
    MetricsRead,

    /// <summary>The registry protocol, which decides by itself for each repository and action.</summary>
    Registry,
}

/// <summary>What a token is for.</summary>
public enum Role
{
    /// <summary>Everything.</summary>
    Admin,

    /// <summary>Push, pull and run images; see and cancel runs.</summary>
    User,

    /// <summary>Pull images, nothing else: for machines that only fetch.</summary>
    Pull,
}

/// <summary>The one table of what each role may do.</summary>
public static class Roles
{
    private static readonly FrozenDictionary<Role, FrozenSet<Permission>> Table =
        new Dictionary<Role, FrozenSet<Permission>>
        {
            [Role.Admin] = Enum.GetValues<Permission>().ToFrozenSet(),
            [Role.User] = FrozenSet.ToFrozenSet(
            [
                Permission.Open, Permission.Authenticated, Permission.Registry,
                Permission.RunCreate, Permission.RunRead, Permission.RunCancel,
                Permission.ImageRead, Permission.ImageWrite, Permission.ImageDelete,
                Permission.NodeRead, Permission.MetricsRead,
            ]),
            [Role.Pull] = FrozenSet.ToFrozenSet(
                [Permission.Open, Permission.Authenticated, Permission.Registry, Permission.ImageRead]),
        }.ToFrozenDictionary();

    public static bool May(Role role, Permission permission) => Table[role].Contains(permission);

    public static string NameOf(Role role) => role switch
    {
        Role.Admin => "admin",
        Role.User => "user",
        _ => "pull",
    };

    public static bool TryParse(string? name, out Role role)
    {
        role = name switch { "admin" => Role.Admin, "user" => Role.User, _ => Role.Pull };
        return name is "admin" or "user" or "pull";
    }
}
