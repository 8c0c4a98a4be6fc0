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

    /// <summary>Call functions. Of those that anybody may call, not even a token is asked.</summary>
    FunctionCall,

    /// <summary>Let anybody call a function, and give functions host names of their own.</summary>
    FunctionExpose,

    /// <summary>See functions and who gets their calls.</summary>
    FunctionRead,

    /// <summary>Deploy, change, route and remove functions, and see all their settings: decide what a name does.
    /// </summary>
    FunctionManage,

    /// <summary>See which secrets there are and what uses them; nobody sees their values.</summary>
    SecretRead,

    /// <summary>Make, replace and remove secrets.</summary>
    SecretManage,

    ImageRead,

    /// <summary>Push images, and copy them in and out by the server's own pulls and pushes.</summary>
    ImageWrite,

    /// <summary>Let a name that exists mean another image.</summary>
    ImageOverwrite,

    ImageDelete,

    /// <summary>Run garbage collection now.</summary>
    ImageCollect,

    /// <summary>Change a repository's policy, apply retention, remove a repository.</summary>
    RepositoryManage,

    NodeRead,

    /// <summary>Let machines join, decide which of them get work, and remove them.</summary>
    NodeManage,

    /// <summary>See containers and volumes, what they write and use.</summary>
    ContainerRead,

    /// <summary>Make, steer, look into and remove containers and volumes.</summary>
    ContainerManage,

    TokenManage,

    /// <summary>Read all that the server keeps, tokens included.</summary>
    Backup,

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

    /// <summary>What a user may, and replace and remove images: for who decides what a name means.</summary>
    Publisher,

    /// <summary>Push images under new names, pull and run images; see and cancel runs.</summary>
    User,

    /// <summary>Pull images, nothing else: for machines that only fetch.</summary>
    Pull,

    /// <summary>The registry protocol, in the repositories that its token names: for build servers.</summary>
    Robot,
}

/// <summary>The one table of what each role may do.</summary>
public static class Roles
{
    private static readonly Permission[] OfPull =
        [Permission.Open, Permission.Authenticated, Permission.Registry, Permission.ImageRead];

    private static readonly Permission[] OfUser =
    [
        .. OfPull,
        Permission.RunCreate, Permission.RunRead, Permission.RunCancel, Permission.FunctionRead,
        Permission.FunctionCall,
        Permission.ImageWrite,
        Permission.NodeRead, Permission.MetricsRead,
        Permission.ContainerRead, Permission.ContainerManage,
    ];

    private static readonly FrozenDictionary<Role, FrozenSet<Permission>> Table =
        new Dictionary<Role, FrozenSet<Permission>>
        {
            [Role.Admin] = Enum.GetValues<Permission>().ToFrozenSet(),
            // Who may remove a name may give it to another image, so these two go together.
            [Role.Publisher] =
            [
                .. OfUser, Permission.ImageOverwrite, Permission.ImageDelete, Permission.FunctionManage,
                Permission.SecretRead, Permission.SecretManage,
            ],
            [Role.User] = [.. OfUser],
            [Role.Pull] = [.. OfPull],
            [Role.Robot] = [Permission.Open, Permission.Authenticated, Permission.Registry],
        }.ToFrozenDictionary();

    private static readonly FrozenDictionary<string, Role> ByName = Enum.GetValues<Role>().ToFrozenDictionary(NameOf);

    /// <summary>All names, as a sentence lists them.</summary>
    public static string Names { get; } = "admin, publisher, user, pull and robot";

    public static bool May(Role role, Permission permission) => Table[role].Contains(permission);

    public static string NameOf(Role role) => role switch
    {
        Role.Admin => "admin",
        Role.Publisher => "publisher",
        Role.User => "user",
        Role.Robot => "robot",
        _ => "pull",
    };

    public static bool TryParse(string? name, out Role role)
    {
        role = default;
        return name is not null && ByName.TryGetValue(name, out role);
    }
}
