using Berth.Init.Linux;
using Berth.Init.Protocol;

namespace Berth.Init.Users;

/// <summary>The ids a program runs under.</summary>
internal sealed record ResolvedUser(uint User, uint Group, uint[] Groups, byte[] Home);

/// <summary>
/// Turns an image's USER into ids by the image's own files, as docker does: "user", "user:group", names or numbers.
/// A name that is not there is refused; nothing ever becomes root by default but the empty text.
/// </summary>
internal static class UserResolver
{
    /// <summary>Ids above are -1 and its like, which mean "don't change" to the kernel.</summary>
    private const uint HighestId = int.MaxValue;

    /// <summary>Supplementary groups; more is no image's need (the kernel's own limit is 65,536).</summary>
    private const int MaxGroups = 1024;

    public static ResolvedUser Resolve(ReadOnlySpan<byte> text)
    {
        int colon = text.IndexOf((byte)':');
        ReadOnlySpan<byte> user = colon < 0 ? text : text[..colon];
        ReadOnlySpan<byte> group = colon < 0 ? default : text[(colon + 1)..];
        if (colon >= 0 && (group.IsEmpty || user.IsEmpty))
        {
            throw Refuse(text, "has an empty user or group beside the colon");
        }

        bool isNumber = TryParseId(user, text, out uint id);
        Account account = FindAccount(user, isNumber || user.IsEmpty, id, text);
        if (!group.IsEmpty)
        {
            uint chosen = TryParseId(group, text, out uint number) ? number : FindGroup(group, text);
            return new ResolvedUser(account.User, chosen, [chosen], account.Home.ToArray());
        }

        uint[] groups = account.Name.IsEmpty ? [account.Group] : GroupsOf(account.Name, account.Group);
        return new ResolvedUser(account.User, account.Group, groups, account.Home.ToArray());
    }

    private static Account FindAccount(
        ReadOnlySpan<byte> user, bool byNumber, uint id, ReadOnlySpan<byte> text)
    {
        ReadOnlySpan<byte> rest = AccountFile.Read("/etc/passwd\0"u8, out string? problem);
        while (AccountFile.TryTakeLine(ref rest, out ReadOnlySpan<byte> line))
        {
            if (!TryReadId(AccountFile.Field(line, 2), out uint lineUser)
                || !TryReadId(AccountFile.Field(line, 3), out uint lineGroup))
            {
                continue;
            }

            ReadOnlySpan<byte> name = AccountFile.Field(line, 0);
            if (byNumber ? lineUser == id : name.SequenceEqual(user))
            {
                return new Account(name, lineUser, lineGroup, AccountFile.Field(line, 5));
            }
        }

        if (!byNumber)
        {
            throw Refuse(text, problem is null
                ? "is not in the image's /etc/passwd; use a name from there or a number"
                : $"can't be looked up: the image's /etc/passwd {problem}; use a number");
        }

        // A number needs no entry (docker: group 0, no further groups).
        return new Account(default, id, 0, id == 0 ? "/root"u8 : "/"u8);
    }

    private static uint FindGroup(ReadOnlySpan<byte> group, ReadOnlySpan<byte> text)
    {
        ReadOnlySpan<byte> rest = AccountFile.Read("/etc/group\0"u8, out string? problem);
        while (AccountFile.TryTakeLine(ref rest, out ReadOnlySpan<byte> line))
        {
            if (AccountFile.Field(line, 0).SequenceEqual(group) && TryReadId(AccountFile.Field(line, 2), out uint id))
            {
                return id;
            }
        }

        throw Refuse(text, problem is null
            ? "names a group that is not in the image's /etc/group; use a name from there or a number"
            : $"can't be looked up: the image's /etc/group {problem}; use a number");
    }

    private static uint[] GroupsOf(ReadOnlySpan<byte> name, uint primary)
    {
        List<uint> groups = [primary];
        ReadOnlySpan<byte> rest = AccountFile.Read("/etc/group\0"u8, out _);
        while (AccountFile.TryTakeLine(ref rest, out ReadOnlySpan<byte> line) && groups.Count < MaxGroups)
        {
            if (HasMember(AccountFile.Field(line, 3), name)
                && TryReadId(AccountFile.Field(line, 2), out uint id)
                && !groups.Contains(id))
            {
                groups.Add(id);
            }
        }

        return [.. groups];
    }

    private static bool HasMember(ReadOnlySpan<byte> members, ReadOnlySpan<byte> name)
    {
        while (!members.IsEmpty)
        {
            int comma = members.IndexOf((byte)',');
            ReadOnlySpan<byte> member = comma < 0 ? members : members[..comma];
            if (member.SequenceEqual(name))
            {
                return true;
            }

            members = comma < 0 ? default : members[(comma + 1)..];
        }

        return false;
    }

    /// <summary>False when it isn't all digits, thus a name; refuses digits out of range.</summary>
    private static bool TryParseId(ReadOnlySpan<byte> text, ReadOnlySpan<byte> whole, out uint id)
    {
        id = 0;
        if (text.IsEmpty || text.ContainsAnyExceptInRange((byte)'0', (byte)'9'))
        {
            return false;
        }

        return TryReadId(text, out id) ? true : throw Refuse(whole, "has an id above 2147483647");
    }

    private static bool TryReadId(ReadOnlySpan<byte> digits, out uint id)
    {
        id = 0;
        foreach (byte digit in digits)
        {
            if (digit is < (byte)'0' or > (byte)'9' || id > HighestId / 10)
            {
                return false;
            }

            id = (id * 10) + digit - '0';
        }

        return digits.Length > 0 && id <= HighestId;
    }

    private static InitException Refuse(ReadOnlySpan<byte> user, string why) =>
        new(RefusalReason.User, 0, $"The user '{NativeText.ForPeople(user)}' {why}.");

    private readonly ref struct Account(
        ReadOnlySpan<byte> name, uint user, uint group, ReadOnlySpan<byte> home)
    {
        public ReadOnlySpan<byte> Name { get; } = name;

        public uint User { get; } = user;

        public uint Group { get; } = group;

        public ReadOnlySpan<byte> Home { get; } = home;
    }
}
